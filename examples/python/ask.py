"""Asks our own node whether a passport is on a partner's list: ask.py FOLDER NUMBER ISSUER"""
import sys, tomllib
from pathlib import Path
import grpc
from concordat.v1 import common_pb2 as common, matching_pb2 as matching, matching_pb2_grpc as rpc

folder, number, issuer = Path(sys.argv[1]), *sys.argv[2:4]
address = tomllib.loads((folder / "concordat.toml").read_text())["api"]["listen"]
ca, key, certificate = ((folder / file).read_bytes() for file in ("tls/ca.crt", "clients/admin.key", "clients/admin.crt"))
with grpc.secure_channel(address, grpc.ssl_channel_credentials(ca, key, certificate)) as channel:
    answer = rpc.MatchingServiceStub(channel).Match(matching.MatchRequest(
        context=common.QueryContext(
            purpose=common.PURPOSE_BORDER_CHECK, legal_basis="EU:2024/982:26", case_reference="GATE-7"),
        items=[matching.MatchItem(item_id="1", subject=common.Subject(
            documents=[common.Document(number=number, issuer=issuer)]))],
    ), timeout=10)
for partner in answer.results[0].partners:
    print(partner.partner_id, common.Verdict.Name(partner.verdict), common.Grade.Name(partner.grade))
