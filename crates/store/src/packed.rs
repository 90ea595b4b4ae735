//! Several values sealed as one: each after its length (u64, big-endian).

use zeroize::Zeroizing;

/// Joins `parts`. Nothing is copied twice, so nothing is left behind in memory.
pub(crate) fn pack(parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    let length = parts.iter().map(|part| 8 + part.len()).sum();
    let mut packed = Zeroizing::new(Vec::with_capacity(length));
    for part in parts {
        packed.extend_from_slice(&(part.len() as u64).to_be_bytes());
        packed.extend_from_slice(part);
    }
    packed
}

/// The parts again; `None` if `packed` is not what [`pack`] gives.
pub(crate) fn unpack(packed: &[u8]) -> Option<Vec<&[u8]>> {
    let (mut parts, mut rest) = (Vec::new(), packed);
    while !rest.is_empty() {
        let (length, tail) = rest.split_first_chunk::<8>()?;
        let length = usize::try_from(u64::from_be_bytes(*length)).ok()?;
        let (part, tail) = tail.split_at_checked(length)?;
        parts.push(part);
        rest = tail;
    }
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_back_and_nothing_else_is_taken() {
        for parts in [&[][..], &[b"".as_slice()], &[b"a", b"", b"bcd"]] {
            let packed = pack(parts);
            assert_eq!(unpack(&packed).unwrap(), parts);
        }
        assert_eq!(unpack(&[0xff; 8]), None);
        assert_eq!(unpack(&[0; 7]), None);
        let packed = pack(&[b"abc"]);
        assert_eq!(unpack(&packed[..10]), None);
    }
}
