//! What another agency's node sends.

#![no_main]

use concordat_fuzz::decoded;
use concordat_wire::v1;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    decoded::<v1::CapabilitiesResponse>(bytes);
    decoded::<v1::ExchangeAgreementRequest>(bytes);
    decoded::<v1::GetScopeKeyRequest>(bytes);
    decoded::<v1::GetScopeKeyResponse>(bytes);
    decoded::<v1::EvaluateRequest>(bytes);
    decoded::<v1::EvaluateResponse>(bytes);
    decoded::<v1::GetManifestRequest>(bytes);
    decoded::<v1::GetManifestResponse>(bytes);
    decoded::<v1::FetchSegmentRequest>(bytes);
    decoded::<v1::FetchSegmentResponse>(bytes);
    decoded::<v1::ReadLedgerRequest>(bytes);
    decoded::<v1::ReadLedgerResponse>(bytes);
});
