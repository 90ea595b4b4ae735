#!/usr/bin/env python3
"""Verifies a ledger from its files and public keys: an independent reader, sharing no code with the writer.

usage: reader.py <folder> <vkey of the log> [<vkey of a witness>...]       standard library only; exit code 0 if everything holds
"""
import base64, hashlib, json, os, struct, sys

def sha(*parts): return hashlib.sha256(b"".join(parts)).digest()
def check(holds, what):
    if not holds: sys.exit("BROKEN: " + what)

# Ed25519 verification (RFC 8032 section 5.1.7), by the book and slow.
P, L = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
def add(p, q):
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)
def mul(s, p):
    q = (0, 1, 1, 0)
    while s:
        if s & 1: q = add(q, p)
        p, s = add(p, p), s >> 1
    return q
def point(raw):
    y = int.from_bytes(raw, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    check(y < P, "a point that is not canonical")
    u, v = y * y - 1, D * y * y + 1
    x = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    if (v * x * x - u) % P: x = x * pow(2, (P - 1) // 4, P) % P
    check((v * x * x - u) % P == 0 and not (x == 0 and sign), "a point that is not on the curve")
    if x & 1 != sign: x = P - x
    return (x, y, 1, x * y % P)
BASE = point(bytes([0x58] + [0x66] * 31))
def verified(key, message, signature):
    s = int.from_bytes(signature[32:], "little")
    h = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % L
    left, right = mul(s, BASE), add(point(signature[:32]), mul(h, point(key)))
    same = (left[0] * right[2] - right[0] * left[2]) % P == 0 == (left[1] * right[2] - right[1] * left[2]) % P
    return len(signature) == 64 and s < L and same

def signatures(note, vkey):
    """What this key signed in the note: (type, bytes after the key's id, key)."""
    name, key_id, key = vkey.split("+", 2)
    key = base64.b64decode(key, validate=True)
    check(sha(name.encode(), b"\n", key)[:4].hex() == key_id, "the vkey of " + name)
    for line in note.rsplit("\n\n", 1)[1].splitlines():
        dash, signer, blob = line.split(" ")
        blob = base64.b64decode(blob, validate=True)
        if dash == "\u2014" and signer == name and blob[:4].hex() == key_id: yield key[0], blob[4:], key[1:]

def read(folder, kind, index, count):
    width = min(256, count - 256 * index)
    number = "/".join(["x%03d" % (index // 1000**i % 1000) for i in range(9, 0, -1) if index >= 1000**i] + ["%03d" % (index % 1000)])
    path = os.path.join(folder, "tile", str(kind), number)
    partial = path + ".p/%d" % width
    with open(partial if width < 256 and os.path.exists(partial) else path, "rb") as file: return file.read(), width

def main(folder, log, *witnesses):
    note = open(os.path.join(folder, "checkpoint"), encoding="utf-8").read()
    text = note.rsplit("\n\n", 1)[0] + "\n"
    origin, size, root = text.split("\n")[:3]
    size = int(size)
    check(origin == log.split("+")[0], "the checkpoint is another log's")
    check(any(t == 1 and verified(k, text.encode(), s) for t, s, k in signatures(note, log)), "the log's signature")
    for witness in witnesses:
        head = lambda s: b"cosignature/v1\ntime %d\n" % struct.unpack(">Q", s[:8])
        good = any(t == 4 and verified(k, head(s) + text.encode(), s[8:]) for t, s, k in signatures(note, witness))
        check(good, "the cosignature of " + witness.split("+")[0])

    hashes, number = [], 0
    for index in range((size + 255) // 256):
        bundle, width = read(folder, "entries", index, size)
        for _ in range(width):
            length = struct.unpack(">H", bundle[:2])[0]
            entry, bundle = bundle[2:2 + length], bundle[2 + length:]
            leaf = json.loads(entry)
            check(json.dumps(leaf, sort_keys=True, separators=(",", ":")).encode() == entry, "entry %d is not canonical" % number)
            check(leaf["v"] == 1 and leaf["n"] == number and len(leaf["commitment"]) == 64, "entry %d" % number)
            hashes.append(sha(b"\0", entry))
            number += 1
    level = 0
    while hashes:  # Each level's tiles, then the roots of its full tiles: the level above.
        for index in range((len(hashes) + 255) // 256):
            tile, width = read(folder, level, index, len(hashes))
            check(tile[:32 * width] == b"".join(hashes[256 * index:256 * index + width]), "tile %d/%d" % (level, index))
        if level == 0: check(mth(hashes) == base64.b64decode(root), "the root")
        hashes = [mth(hashes[i:i + 256]) for i in range(0, len(hashes) - 255, 256)]
        level += 1
    print("HOLDS: %s, %d entries, %d cosignatures" % (origin, size, len(witnesses)))

def mth(hashes):
    if len(hashes) < 2: return hashes[0] if hashes else sha()
    k = 1 << (len(hashes) - 1).bit_length() - 1
    return sha(b"\1", mth(hashes[:k]), mth(hashes[k:]))

main(*sys.argv[1:])
