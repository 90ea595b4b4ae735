//! What the compiler made of the constant-time code.
//!
//! Secrets live in vector registers. For a branch or an address to depend on one, it has to come out of them: through
//! a mask register or a test into the flags or a general register, or through a masked or gathered memory access, whose
//! time may depend on the mask. So this looks at every function compiled for the vector unit and finds none of these. What
//! it cannot see is a lane stored to memory and read back as an integer; the source does that in four places only, none
//! of them with a secret: the verdicts of `Decode` and `FirstIdentity`, encodings and hashes as they are written out,
//! and the public points of `sum` and `BuildTable`.

#![cfg(target_arch = "x86_64")]
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test may panic, and says when it skips"
)]

use std::process::Command;

use concordat_lanes::sha512::Prefix;
use concordat_lanes::{Engine, FixedBase, Point, Points, Scalar};

#[test]
fn no_lane_decides_where_to_go_or_what_to_read() {
    // An engine, the module its code is in, and the instruction that multiplies.
    let engines = [
        (Engine::avx512ifma(), "ifma", "vpmadd52"),
        (Engine::avx2(), "avx2", "vpmul"),
    ];
    for (engine, module, product) in engines {
        match engine {
            Some(engine) => look_at(engine, module, product),
            None => eprintln!("SKIPPED: this processor has no {module}, so nothing of it would be run"),
        }
    }
}

fn look_at(engine: Engine, module: &str, product: &str) {
    use_everything(engine);
    let disassembly = Command::new("objdump")
        .args(["--disassemble", "--no-show-raw-insn"])
        .arg(std::env::current_exe().unwrap())
        .output();
    let Ok(disassembly) = disassembly else {
        eprintln!("SKIPPED: objdump is not installed");
        return;
    };
    let text = String::from_utf8_lossy(&disassembly.stdout);
    let (mut within, mut functions, mut products) = (false, 0, 0);
    for line in text.lines() {
        if line.ends_with(">:") {
            within = line.contains("with_features") && line.contains(module) && line.contains("concordat");
            functions += usize::from(within);
        } else if within {
            products += usize::from(line.contains(product));
            assert!(is_harmless(line), "in a function for {module}: {line}");
        }
    }
    assert!(
        functions > 5 && products > 100,
        "{functions} functions, {products} products for {module}: looked at the wrong code"
    );
}

fn is_harmless(line: &str) -> bool {
    // "  address:\tmnemonic operands"
    let instruction = line.split('\t').nth(1).unwrap_or_default();
    let (mnemonic, operands) = instruction.split_once(' ').unwrap_or((instruction, ""));
    let masked_memory = operands.contains("{%k") && operands.contains('(');
    // AT&T syntax: the source comes first.
    let out_of_masks = mnemonic.starts_with("kmov") && operands.trim_start().starts_with("%k");
    let into_flags = ["kortest", "ktest", "vptest ", "vtestp"]
        .iter()
        .any(|name| instruction.starts_with(name));
    let gathered = [
        "vpgather",
        "vgather",
        "vpscatter",
        "vscatter",
        "vpcompress",
        "vpexpand",
        "vmovmsk",
        "vpmovmsk",
        "vpmaskmov",
        "vmaskmov",
    ]
    .iter()
    .any(|name| mnemonic.starts_with(name));
    let scalar_division = ["div", "idiv"].iter().any(|name| mnemonic.starts_with(name));
    !(masked_memory || out_of_masks || into_flags || gathered || scalar_division)
}

/// So that all of it is in this program.
fn use_everything(engine: Engine) {
    let uniform = [[1; 64], [2; 64], [3; 64]];
    let scalars: Vec<Scalar> = uniform.iter().map(Scalar::from_wide_bytes).collect();
    let mut points = Points::from_uniform_bytes_on(engine, &uniform);
    points += &points.mul_shared(&scalars[0]);
    points -= &points.mul_each(&scalars);
    points += &FixedBase::new_on(engine, &Point::GENERATOR).mul_each(&scalars);
    let points = Points::decode_on(engine, &points.encode()).unwrap();
    assert_eq!(points.position_of_identity(), None);
    assert_eq!(points.double_and_encode().len(), 96);
    let mut hashes = [[0; 64]; 3];
    Prefix::EMPTY.hash_each_on(engine, &mut hashes, |at, message| message.push(&uniform[at]));
    assert_ne!(hashes[0], hashes[1]);
}
