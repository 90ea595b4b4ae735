//! `concordat bench`.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use concordat_lanes::{ENGINE_VARIABLE, Points, Scalar};
use concordat_oprf::{Client, KeyPair};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::json;

use crate::exit::Exit;
use crate::out::{Out, Table, note};

/// The default chunk of the protocol.
const BATCH: usize = 1_024;
/// Queries that INTERPOL answered in a second, the mean of 2018.
const INTERPOL: f64 = 171.0;
/// How long one measurement repeats its stage.
const ROUND: Duration = Duration::from_millis(150);
const STAGES: [&str; 5] = [
    "evaluate",
    "evaluate_prove",
    "blind",
    "verify_finalize",
    "own_set",
];

/// Measure what this machine can do: each stage of the protocol on one core.
///
/// Batches of 1,024 elements, from bytes to bytes, with the engine this processor allows and with the portable one,
/// in turns. Prints the median of the rounds.
#[derive(clap::Args)]
pub struct Args {
    /// How often each stage is measured with each engine
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: u32,
    /// Answers the command that started it
    #[arg(long, hide = true)]
    worker: bool,
}

impl Args {
    /// Runs the command.
    pub fn run(self, out: Out) -> Result<Exit> {
        if self.worker {
            return work();
        }
        // An engine is chosen once for a process: two processes, one core's work at a time.
        let mut engine = Worker::start(None)?;
        let mut portable = Worker::start(Some("portable"))?;
        let mut results = Vec::new();
        for stage in STAGES {
            note(format!("measuring {stage} ..."));
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            for _ in 0..self.rounds {
                ours.push(engine.measure(stage)?);
                theirs.push(portable.measure(stage)?);
            }
            results.push((stage, median(ours), median(theirs)));
        }
        out.result(|| described(&results), || shown(&results))?;
        Ok(Exit::Done)
    }
}

fn described(results: &[(&str, f64, f64)]) -> serde_json::Value {
    let mut all = json!({ "engine": concordat_lanes::engine(), "batch": BATCH });
    for (stage, engine_us, portable_us) in results {
        all[stage] = json!({
            "portable_us": portable_us,
            "engine_us": engine_us,
            "ratio": portable_us / engine_us,
            "per_second": 1e6 / engine_us,
        });
    }
    all
}

fn shown(results: &[(&str, f64, f64)]) -> String {
    let mut table = Table::new(["stage", "a second", "µs each", "portable µs", "ratio"]);
    for (stage, engine_us, portable_us) in results {
        table.row([
            (*stage).to_owned(),
            format!("{:.0}", 1e6 / engine_us),
            format!("{engine_us:.2}"),
            format!("{portable_us:.2}"),
            format!("{:.1}", portable_us / engine_us),
        ]);
    }
    let proved = results.iter().find(|(stage, ..)| *stage == "evaluate_prove");
    let queries = proved.map_or(0.0, |(_, engine_us, _)| 1e6 / engine_us / INTERPOL);
    format!(
        "engine {}, one core, batches of {BATCH}\n\n{table}\nevaluate_prove is {queries:.0} times the 171 queries a \
         second that INTERPOL answered in 2018, at one element each",
        concordat_lanes::engine()
    )
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// This program again, with one engine.
struct Worker {
    child: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Worker {
    fn start(engine: Option<&str>) -> Result<Self> {
        let program = std::env::current_exe().context("finding this program")?;
        let mut command = Command::new(program);
        command.args(["bench", "--worker"]);
        if let Some(engine) = engine {
            command.env(ENGINE_VARIABLE, engine);
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting this program again")?;
        let ask = child.stdin.take().context("no way to ask")?;
        let answers = BufReader::new(child.stdout.take().context("no way to answer")?);
        Ok(Self { child, ask, answers })
    }

    /// Microseconds for each element.
    fn measure(&mut self, stage: &str) -> Result<f64> {
        writeln!(self.ask, "{stage}").context("asking")?;
        let mut line = String::new();
        self.answers.read_line(&mut line).context("reading the answer")?;
        ensure!(!line.is_empty(), "the measuring process ended early");
        line.trim().parse().context("reading the answer")
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It ends by itself when nobody asks any more; this is for one that does not.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Answers each stage that is named on standard input with its time.
fn work() -> Result<Exit> {
    let bench = Bench::new()?;
    for stage in std::io::stdin().lines() {
        let us = bench.measure(&stage?)?;
        crate::out::print(format!("{us}"))?;
    }
    Ok(Exit::Done)
}

struct Bench {
    key: KeyPair,
    half: Scalar,
    client: Client,
    inputs: Vec<Vec<u8>>,
    elements: Vec<u8>,
}

impl Bench {
    fn new() -> Result<Self> {
        let key = KeyPair::derive(&[1; 32], b"bench").context("deriving a key")?;
        let client = Client::new(*key.public_key());
        let inputs: Vec<Vec<u8>> = (0..BATCH)
            .map(|n| format!("bench|{n:026}").into_bytes())
            .collect();
        let blinded = client.blind(&inputs, &mut rng()).context("blinding")?;
        let elements = blinded.elements().to_vec();
        Ok(Self {
            key,
            half: Scalar::from_wide_bytes(&[0x17; 64]).halve(),
            client,
            inputs,
            elements,
        })
    }

    fn measure(&self, stage: &str) -> Result<f64> {
        let mut rng = rng();
        match stage {
            "evaluate" => timed(|| {
                Ok(Points::decode(&self.elements)?
                    .mul_shared(&self.half)
                    .double_and_encode())
            }),
            "evaluate_prove" => timed(|| Ok(self.key.blind_evaluate(&self.elements, &mut rng)?)),
            "blind" => timed(|| Ok(self.client.blind(&self.inputs, &mut rng)?)),
            "verify_finalize" => {
                let blinded = self.client.blind(&self.inputs, &mut rng)?;
                let answer = self.key.blind_evaluate(blinded.elements(), &mut rng)?;
                timed(|| Ok(blinded.verify(&answer.elements, &answer.proof)?.finalize()))
            }
            "own_set" => timed(|| Ok(self.key.evaluate_own(&self.inputs)?)),
            other => anyhow::bail!("there is no stage {other}"),
        }
    }
}

/// Microseconds for each element, over as many batches as fit into a round.
fn timed<T>(mut batch: impl FnMut() -> Result<T>) -> Result<f64> {
    std::hint::black_box(batch()?);
    let start = Instant::now();
    let mut batches = 0.0;
    while start.elapsed() < ROUND {
        std::hint::black_box(batch()?);
        batches += 1.0;
    }
    Ok(start.elapsed().as_secs_f64() * 1e6 / (batches * BATCH as f64))
}

fn rng() -> StdRng {
    StdRng::from_seed([2; 32])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_can_be_measured_and_no_other() {
        let bench = Bench::new().expect("made");
        for stage in STAGES {
            assert!(bench.measure(stage).expect(stage) > 0.0);
        }
        bench.measure("guess").expect_err("no such stage");
    }

    #[test]
    fn the_object_has_what_is_documented() {
        let value = described(&[("evaluate", 2.0, 10.0)]);
        assert_eq!(value["evaluate"]["ratio"], 5.0);
        assert!(value["engine"].is_string());
        assert!(shown(&[("evaluate_prove", 10.0, 50.0)]).contains("585 times"));
    }
}
