//! The manifest's text.
//!
//! ```text
//! concordat/v1/snapshot
//! agreement 2026/014
//! offer passports
//! epoch 3
//! owner police.example/aa
//! requester police.example/bb
//! profile icao-2026 <64 hex digits>
//! public-key <64 hex digits>
//! version 42
//! as-of 2026-11-21T20:00:00Z
//! max-age 86400
//! size-class 2097152
//! base 1                      (prefix bits: 2^1 segments follow)
//! canaries 16 <seed: 64 hex digits>
//! segment <sha-256> 1048301   (tags in it)
//! segment <sha-256> 1048851
//! delta 0 256                 (prefix bits, churn class)
//! canaries 16 <seed>
//! adds <sha-256> 256
//! removes <sha-256> 256
//! ```
//! A base has one or more `canaries` lines, a delta exactly one.

use std::fmt::Write;
use std::ops::RangeInclusive;
use std::str::FromStr;

use jiff::Timestamp;

use super::{Base, Canaries, Delta, Manifest, Scope};
use crate::digest::Digest;
use crate::error::ManifestError;
use crate::segment::Role;
use crate::segments::{MAX_PREFIX_BITS, Segments};

const FIRST_LINE: &str = "concordat/v1/snapshot";
/// Years that RFC 3339 can write and an agency's clock can show.
pub(super) const YEARS: RangeInclusive<i16> = 1970..=9999;

/// Writes a manifest that was checked.
pub(super) fn write(manifest: &Manifest) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write_to(&mut text, manifest);
    text
}

fn write_to(text: &mut String, manifest: &Manifest) -> std::fmt::Result {
    let Scope {
        agreement,
        offer,
        epoch,
        owner,
        requester,
        profile,
        ..
    } = &manifest.scope;
    writeln!(
        text,
        "{FIRST_LINE}\nagreement {agreement}\noffer {offer}\nepoch {epoch}"
    )?;
    writeln!(text, "owner {owner}\nrequester {requester}")?;
    writeln!(
        text,
        "profile {profile} {}",
        hex::encode(manifest.scope.profile_fingerprint)
    )?;
    writeln!(text, "public-key {}", hex::encode(manifest.scope.public_key))?;
    writeln!(text, "version {}", manifest.version)?;
    writeln!(text, "as-of {}", manifest.as_of.strftime("%Y-%m-%dT%H:%M:%SZ"))?;
    writeln!(
        text,
        "max-age {}\nsize-class {}",
        manifest.max_age_seconds,
        manifest.size_class()
    )?;

    writeln!(text, "base {}", manifest.base.segments.prefix_bits())?;
    for canaries in &manifest.base.canaries {
        write_canaries(text, canaries)?;
    }
    write_segments(text, "segment", &manifest.base.segments)?;
    for delta in &manifest.deltas {
        writeln!(text, "delta {} {}", delta.adds.prefix_bits(), delta.adds.count())?;
        write_canaries(text, &delta.canaries)?;
        write_segments(text, "adds", &delta.adds)?;
        write_segments(text, "removes", &delta.removes)?;
    }
    Ok(())
}

fn write_canaries(text: &mut String, canaries: &Canaries) -> std::fmt::Result {
    writeln!(text, "canaries {} {}", canaries.count, hex::encode(canaries.seed))
}

fn write_segments(text: &mut String, key: &str, segments: &Segments) -> std::fmt::Result {
    segments
        .iter()
        .try_for_each(|s| writeln!(text, "{key} {} {}", s.digest, s.header.count))
}

/// Reads a manifest's text for its meaning; the caller checks bounds, and that it is written in the one way.
pub(super) fn parse(text: &str) -> Result<Manifest, ManifestError> {
    let mut lines = Lines {
        lines: text.lines().enumerate().peekable(),
        line: 0,
    };
    if lines.next() != Some(FIRST_LINE) {
        return Err(lines.expected("concordat/v1/snapshot"));
    }
    let agreement = lines.value("agreement", "agreement <id>")?;
    let offer = lines.value("offer", "offer <id>")?;
    let epoch = lines.value("epoch", "epoch <number>")?;
    let owner = lines.value("owner", "owner <name>")?;
    let requester = lines.value("requester", "requester <name>")?;
    let (profile, fingerprint): (String, Hex32) = lines.pair("profile", "profile <id> <64 hex digits>")?;
    let public_key: Hex32 = lines.value("public-key", "public-key <64 hex digits>")?;
    let scope = Scope {
        agreement,
        offer,
        epoch,
        owner,
        requester,
        profile,
        profile_fingerprint: fingerprint.0,
        public_key: public_key.0,
    };
    let version = lines.value("version", "version <number>")?;
    let as_of: Timestamp = lines.value("as-of", "as-of <RFC 3339 time in UTC>")?;
    let max_age_seconds = lines.value("max-age", "max-age <seconds>")?;
    let size_class: u64 = lines.value("size-class", "size-class <number of tags>")?;
    let size_line = lines.line;

    let bits = lines.value("base", "base <prefix bits, at most 10>")?;
    let mut canaries = vec![lines.canaries()?];
    while lines.next_is("canaries ") {
        canaries.push(lines.canaries()?);
    }
    let base = Base {
        canaries,
        segments: lines.segments("segment", Role::Base, bits)?,
    };
    if base.segments.count() != size_class {
        return Err(ManifestError::Line {
            line: size_line,
            expected: "the sum of the base's segments",
        });
    }

    let mut deltas = Vec::new();
    while lines.lines.peek().is_some() {
        let (bits, class): (u8, u64) =
            lines.pair("delta", "delta <prefix bits, at most 10> <churn class>")?;
        let line = lines.line;
        let canaries = lines.canaries()?;
        let adds = lines.segments("adds", Role::Adds, bits)?;
        let removes = lines.segments("removes", Role::Removes, bits)?;
        if adds.count() != class || removes.count() != class {
            return Err(ManifestError::Line {
                line,
                expected: "the number of tags added, and of those removed",
            });
        }
        deltas.push(Delta {
            canaries,
            adds,
            removes,
        });
    }
    Ok(Manifest {
        scope,
        version,
        as_of,
        max_age_seconds,
        base,
        deltas,
    })
}

/// The lines of a text, one after the other; remembers where it is.
struct Lines<'a, I: Iterator<Item = (usize, &'a str)>> {
    lines: std::iter::Peekable<I>,
    line: usize,
}

impl<'a, I: Iterator<Item = (usize, &'a str)>> Lines<'a, I> {
    fn next(&mut self) -> Option<&'a str> {
        self.line += 1;
        self.lines.next().map(|(_, line)| line)
    }

    fn next_is(&mut self, start: &str) -> bool {
        self.lines.peek().is_some_and(|(_, line)| line.starts_with(start))
    }

    fn expected(&self, expected: &'static str) -> ManifestError {
        ManifestError::Line {
            line: self.line,
            expected,
        }
    }

    /// The line `key value`.
    fn value<T: FromStr>(&mut self, key: &str, expected: &'static str) -> Result<T, ManifestError> {
        self.next()
            .and_then(|line| line.strip_prefix(key)?.strip_prefix(' ')?.parse().ok())
            .ok_or_else(|| self.expected(expected))
    }

    /// The line `key first second`.
    fn pair<A: FromStr, B: FromStr>(
        &mut self,
        key: &str,
        expected: &'static str,
    ) -> Result<(A, B), ManifestError> {
        let pair: Option<(A, B)> = self.next().and_then(|line| {
            let (first, second) = line.strip_prefix(key)?.strip_prefix(' ')?.split_once(' ')?;
            Some((first.parse().ok()?, second.parse().ok()?))
        });
        pair.ok_or_else(|| self.expected(expected))
    }

    fn canaries(&mut self) -> Result<Canaries, ManifestError> {
        let (count, seed): (u16, Hex32) = self.pair("canaries", "canaries <number> <64 hex digits>")?;
        Ok(Canaries { seed: seed.0, count })
    }

    /// 2^`bits` lines `key digest count`. Memory grows with the lines there are, not with the number announced.
    fn segments(&mut self, key: &'static str, role: Role, bits: u8) -> Result<Segments, ManifestError> {
        if bits > MAX_PREFIX_BITS {
            return Err(self.expected("at most 10 prefix bits"));
        }
        let mut parts: Vec<(Digest, u64)> = Vec::new();
        for _ in 0..1 << bits {
            parts.push(self.pair(key, "<role> <sha-256> <number of tags>")?);
        }
        Segments::from_parts(role, bits, &parts).ok_or_else(|| self.expected("at most 2^30 tags in a set"))
    }
}

/// 32 bytes as 64 hexadecimal digits.
struct Hex32([u8; 32]);

impl FromStr for Hex32 {
    type Err = hex::FromHexError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes)?;
        Ok(Self(bytes))
    }
}
