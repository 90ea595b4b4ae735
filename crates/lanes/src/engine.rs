//! Which arithmetic runs: chosen once, by what the processor can do.

mod self_test;

use std::fmt;
use std::sync::LazyLock;

#[cfg(any(test, feature = "emulation"))]
use crate::vector::Emulated;
#[cfg(target_arch = "x86_64")]
use crate::vector::{Avx2, Avx2Cpu, Ifma, IfmaCpu};
use crate::vector::{Kernel, Vector};

/// The environment variable that overrides the choice: `portable`, `avx2`, `avx512ifma` or, in builds for tests,
/// `emulated52` or `emulated32`.
pub const ENGINE_VARIABLE: &str = "CONCORDAT_ENGINE";

/// An implementation of the group's arithmetic that this processor can run.
///
/// All give the same bytes. The program uses [`Engine::active`] everywhere; to name one is for tests and benches.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Engine(pub(crate) Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Portable,
    Lanes(Lanes),
}

/// An engine that works on eight points at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lanes {
    #[cfg(target_arch = "x86_64")]
    Ifma(IfmaCpu),
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2Cpu),
    #[cfg(any(test, feature = "emulation"))]
    Emulated52,
    #[cfg(any(test, feature = "emulation"))]
    Emulated32,
}

impl Engine {
    /// curve25519-dalek, a point at a time. Runs everywhere.
    pub const PORTABLE: Self = Self(Kind::Portable);

    /// Eight points at a time with the 52-bit multiplier of AVX-512 IFMA, on a processor that has it.
    pub fn avx512ifma() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        return IfmaCpu::detect().map(|cpu| Self(Kind::Lanes(Lanes::Ifma(cpu))));
        #[cfg(not(target_arch = "x86_64"))]
        None
    }

    /// Eight points at a time in two registers of AVX2 with its 32-bit multiplier, on a processor that has it.
    pub fn avx2() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        return Avx2Cpu::detect().map(|cpu| Self(Kind::Lanes(Lanes::Avx2(cpu))));
        #[cfg(not(target_arch = "x86_64"))]
        None
    }

    /// The code of [`Engine::avx512ifma`], then that of [`Engine::avx2`], with the processor's operations emulated,
    /// one lane after the other, and checked for overflow. For tests, on any machine: it is slow, and its timing
    /// depends on what it computes.
    #[cfg(any(test, feature = "emulation"))]
    pub const EMULATED: [Self; 2] = [
        Self(Kind::Lanes(Lanes::Emulated52)),
        Self(Kind::Lanes(Lanes::Emulated32)),
    ];

    /// The engine this process uses.
    ///
    /// The first call chooses it and lets it pass a test with known answers. An engine that fails the test is not
    /// used. Nor is one that [`ENGINE_VARIABLE`] names but this processor, or this build, does not have.
    pub fn active() -> Self {
        CHOICE.engine
    }

    /// The engine for a batch of `count`: few points gain nothing from eight lanes.
    pub(crate) fn for_points(count: usize) -> Self {
        match Self::active().0 {
            Kind::Lanes(lanes) if count < lanes.worth_it() => Self::PORTABLE,
            kind => Self(kind),
        }
    }

    /// Every engine there is here, the best first.
    pub fn available() -> Vec<Self> {
        let mut engines = Vec::from_iter(Self::avx512ifma());
        engines.extend(Self::avx2());
        engines.push(Self::PORTABLE);
        #[cfg(any(test, feature = "emulation"))]
        engines.extend(Self::EMULATED);
        engines
    }

    /// What it is called in [`ENGINE_VARIABLE`].
    pub const fn name(self) -> &'static str {
        match self.0 {
            Kind::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Kind::Lanes(Lanes::Ifma(_)) => "avx512ifma",
            #[cfg(target_arch = "x86_64")]
            Kind::Lanes(Lanes::Avx2(_)) => "avx2",
            #[cfg(any(test, feature = "emulation"))]
            Kind::Lanes(Lanes::Emulated52) => "emulated52",
            #[cfg(any(test, feature = "emulation"))]
            Kind::Lanes(Lanes::Emulated32) => "emulated32",
        }
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Engine({})", self.name())
    }
}

/// The engine in use, for people: its name, and a remark when it is not the one that was asked for.
pub fn engine() -> &'static str {
    &CHOICE.description
}

impl Lanes {
    /// Those of [`Engine::available`].
    #[cfg(test)]
    pub(crate) fn available() -> Vec<Self> {
        let lanes = |engine: Engine| match engine.0 {
            Kind::Lanes(lanes) => Some(lanes),
            Kind::Portable => None,
        };
        Engine::available().into_iter().filter_map(lanes).collect()
    }

    /// From how many points on a batch is faster than on the portable engine, through all stages of the protocol.
    pub(crate) const fn worth_it(self) -> usize {
        match self {
            // Sums of products are what decides: with fewer, curve25519-dalek adds up faster, by more than the
            // multiplications gain.
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => 64,
            _ => 2,
        }
    }

    /// Runs `kernel` on eight lanes.
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Ifma(cpu) => Ifma::run(cpu, kernel),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(cpu) => Avx2::run(cpu, kernel),
            #[cfg(any(test, feature = "emulation"))]
            Self::Emulated52 => Emulated::<52>::run((), kernel),
            #[cfg(any(test, feature = "emulation"))]
            Self::Emulated32 => Emulated::<32>::run((), kernel),
        }
    }
}

static CHOICE: LazyLock<Choice> = LazyLock::new(|| {
    let wish = std::env::var_os(ENGINE_VARIABLE).map(|wish| wish.to_string_lossy().into_owned());
    choose(&Engine::available(), wish.as_deref(), self_test::passes)
});

#[derive(Debug)]
struct Choice {
    engine: Engine,
    description: String,
}

/// The best of `engines` that passes, unless `wish` names another that does.
fn choose(engines: &[Engine], wish: Option<&str>, passes: impl Fn(Engine) -> bool) -> Choice {
    let wish = wish.map(str::trim).filter(|wish| !wish.is_empty());
    let wished = engines.iter().find(|engine| Some(engine.name()) == wish);
    let mut remark = String::new();
    if let (None, Some(_)) = (wished, wish) {
        // What it says is not repeated: it ends up in logs.
        remark = format!(" ({ENGINE_VARIABLE} names an engine that is not available here)");
    }
    for &engine in wished.into_iter().chain(engines) {
        if passes(engine) {
            let description = format!("{}{remark}", engine.name());
            return Choice { engine, description };
        }
        remark = format!(" ({} failed its self-test)", engine.name());
    }
    Choice {
        engine: Engine::PORTABLE,
        description: format!("{}{remark}", Engine::PORTABLE.name()),
    }
}
