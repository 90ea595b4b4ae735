"""Follows the cases of our own node that wait for us, now and whenever one changes: cases.py FOLDER [SECONDS]"""
import sys, tomllib
from pathlib import Path
import grpc
from concordat.v1 import disclosure_pb2 as disclosure, disclosure_pb2_grpc as rpc

folder, seconds = Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else None
address = tomllib.loads((folder / "concordat.toml").read_text())["api"]["listen"]
ca, key, certificate = ((folder / file).read_bytes() for file in ("tls/ca.crt", "clients/admin.key", "clients/admin.crt"))
with grpc.secure_channel(address, grpc.ssl_channel_credentials(ca, key, certificate)) as channel:
    waiting = rpc.DisclosureServiceStub(channel).WatchCases(disclosure.ListCasesRequest(ours=True), timeout=seconds)
    try:
        for page in waiting:
            for case in page.cases:
                print(case.case_id, case.partner_id, case.state, case.due_at or "no deadline", flush=True)
    except grpc.RpcError as error:
        if error.code() != grpc.StatusCode.DEADLINE_EXCEEDED:
            raise
