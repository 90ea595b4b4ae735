"""Other implementations of private set intersection on the lists of `tests/examples/intersect.rs`.

peers.py ENTRIES NAME: prints one JSON object. NAME: openmined, spu-ecdh, spu-kkrt or spu-rr22. Both parties run on the
cores this process may use; `run` gives it one.
"""

import json
import multiprocessing
import os
import socket
import sys
import tempfile
import time


def lists(entries):
    """As long as each other, half of each in common."""
    half = entries // 2
    name = lambda n: f"p{n}@example.org"
    return [name(n) for n in range(entries)], [name(n) for n in range(half, half + entries)], entries - half


def openmined(entries):
    import private_set_intersection.python as psi

    left, right, overlap = lists(entries)
    start = time.perf_counter()
    server, client = psi.server.CreateWithNewKey(True), psi.client.CreateWithNewKey(True)
    setup = server.CreateSetupMessage(1e-9, entries, right, psi.DataStructure.GCS)
    request = client.CreateRequest(left)
    response = server.ProcessRequest(request)
    received = psi.ServerSetup()
    received.ParseFromString(setup.SerializeToString())
    found = client.GetIntersection(received, response)
    seconds = time.perf_counter() - start
    assert len(found) == overlap, len(found)
    size = sum(message.ByteSize() for message in (setup, request, response))
    return {"seconds": seconds, "bytes": size}


def party(protocol, rank, ports, folder, times):
    import spu.libspu.link as link
    import spu.psi as psi

    description = link.Desc()
    for number, port in enumerate(ports):
        description.add_party(f"p{number}", f"127.0.0.1:{port}")
    context = link.create_brpc(description, rank)
    config = psi.PsiExecuteConfig(
        protocol_conf=psi.PsiProtocolConfig(
            protocol=getattr(psi.PsiProtocol, f"PROTOCOL_{protocol.upper()}"),
            receiver_rank=0,
            ecdh_params=psi.EcdhParams(curve=psi.EllipticCurveType.CURVE_25519),
        ),
        input_params=psi.InputParams(
            path=os.path.join(folder, f"{rank}.csv"), selected_keys=["id"], keys_unique=True
        ),
        output_params=psi.OutputParams(path=os.path.join(folder, f"{rank}.out"), disable_alignment=True),
    )
    start = time.perf_counter()
    report = psi.psi_execute(config, context)
    times.put((rank, time.perf_counter() - start, report.intersection_count))
    context.stop_link()


def spu(entries, protocol):
    left, right, overlap = lists(entries)
    with tempfile.TemporaryDirectory() as folder:
        for rank, members in enumerate((left, right)):
            with open(os.path.join(folder, f"{rank}.csv"), "w") as file:
                file.write("id\n" + "\n".join(members) + "\n")
        sockets = [socket.socket() for _ in range(2)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        ports = [one.getsockname()[1] for one in sockets]
        for one in sockets:
            one.close()
        times = multiprocessing.Queue()
        arguments = [(protocol, rank, ports, folder, times) for rank in range(2)]
        processes = [multiprocessing.Process(target=party, args=one) for one in arguments]
        for process in processes:
            process.start()
        results = [times.get(timeout=1800) for _ in processes]
        for process in processes:
            process.join(60)
    assert max(count for _, _, count in results) == overlap, results
    return {"seconds": max(seconds for _, seconds, _ in results)}


if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    size, name = int(sys.argv[1]), sys.argv[2]
    result = openmined(size) if name == "openmined" else spu(size, name.removeprefix("spu-"))
    print(json.dumps({"name": name, "entries": size, **result}))
