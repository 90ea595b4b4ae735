//! A headless Chromium, driven over W3C WebDriver, with a virtual authenticator (Web Authentication Level 3 §11).

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use concordat_node::http::Client;
use concordat_tests::{free_port, wait_for};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

const ANSWER: usize = 64 << 20;
const WAITS: usize = 400;
const PAUSE: Duration = Duration::from_millis(50);
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser with a key of its own.
pub(crate) struct Browser {
    client: Client,
    session: String,
    pictures: PathBuf,
    axe: Option<String>,
    /// Pages whose accessibility was checked.
    pub(crate) checked: Vec<String>,
    _driver: Processes,
    _profile: tempfile::TempDir,
}

/// The driver and the browser that it started, in a group of their own: a driver that is killed leaves its browser running.
struct Processes(Child);

impl Drop for Processes {
    fn drop(&mut self) {
        let driver = self.0.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        if let Some(driver) = driver {
            let _ = kill_process_group(driver, Signal::KILL);
        }
    }
}

fn found(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let all = names
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    all.into_iter().find(|file| file.is_file())
}

impl Browser {
    /// Starts one that trusts these public keys (SHA-256 of the SPKI); `None`, said loudly, where no Chromium is installed.
    pub(crate) async fn start(pins: &[[u8; 32]]) -> Option<Self> {
        let (Some(driver), Some(chromium)) = (
            found(&["chromedriver"]),
            found(&["chromium", "chromium-browser", "google-chrome"]),
        ) else {
            eprintln!(
                "SKIPPED: the browser test needs chromium and chromedriver (Debian: chromium, chromium-driver)"
            );
            return None;
        };
        let port = free_port().await;
        let profile = tempfile::tempdir().expect("a folder");
        let driver = Command::new(driver)
            .arg(format!("--port={port}"))
            .env("HOME", profile.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("chromedriver starts");
        let driver = Processes(driver);
        let client = Client::new(&format!("http://127.0.0.1:{port}")).expect("an address");
        wait_for("chromedriver answers", || async {
            client
                .get("status", ANSWER)
                .await
                .is_ok_and(|body| body.is_some())
        })
        .await;
        let spki: Vec<String> = pins.iter().map(|pin| STANDARD.encode(pin)).collect();
        let arguments = [
            "--headless=new".to_owned(),
            "--no-sandbox".into(),
            "--disable-gpu".into(),
            "--disable-quic".into(),
            "--disable-dev-shm-usage".into(),
            "--no-first-run".into(),
            "--disable-background-networking".into(),
            "--disable-component-update".into(),
            "--disable-sync".into(),
            "--window-size=1280,1000".into(),
            format!("--user-data-dir={}", profile.path().join("profile").display()),
            format!("--ignore-certificate-errors-spki-list={}", spki.join(",")),
        ];
        let capabilities = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": { "binary": chromium, "args": arguments },
        } } });
        let (_, body) = client
            .post("session", capabilities.to_string().into_bytes(), ANSWER)
            .await
            .expect("a session");
        let answer: Value = serde_json::from_slice(&body).expect("JSON");
        let session = answer["value"]["sessionId"]
            .as_str()
            .unwrap_or_else(|| panic!("no session: {answer}"))
            .to_owned();
        let pictures = std::env::var_os("CONCORDAT_SCREENSHOTS")
            .map_or_else(|| profile.path().join("pictures"), PathBuf::from);
        std::fs::create_dir_all(&pictures).expect("a folder for pictures");
        let axe =
            std::env::var_os("CONCORDAT_AXE").map(|path| std::fs::read_to_string(path).expect("axe-core"));
        if axe.is_none() {
            eprintln!(
                "SKIPPED: accessibility is checked with axe-core where CONCORDAT_AXE names its axe.min.js"
            );
        }
        let browser = Self {
            client,
            session,
            pictures,
            axe,
            checked: Vec::new(),
            _driver: driver,
            _profile: profile,
        };
        let authenticator = json!({
            "protocol": "ctap2", "transport": "internal", "hasResidentKey": true, "hasUserVerification": true,
            "isUserConsenting": true, "isUserVerified": true,
        });
        browser.call("webauthn/authenticator", authenticator).await;
        Some(browser)
    }

    async fn try_call(&self, what: &str, body: Value) -> Result<Value, Value> {
        let path = format!("session/{}/{what}", self.session);
        let (status, body) = self
            .client
            .post(&path, body.to_string().into_bytes(), ANSWER)
            .await
            .expect("chromedriver answers");
        let mut answer: Value = serde_json::from_slice(&body).expect("JSON");
        let value = answer["value"].take();
        if status.is_success() {
            Ok(value)
        } else {
            Err(value)
        }
    }

    async fn call(&self, what: &str, body: Value) -> Value {
        self.try_call(what, body)
            .await
            .unwrap_or_else(|error| panic!("{what}: {error}"))
    }

    /// Opens a page.
    pub(crate) async fn goto(&self, url: &str) {
        self.call("url", json!({ "url": url })).await;
    }

    /// What a script gives.
    pub(crate) async fn script(&self, script: &str, arguments: Value) -> Value {
        self.call("execute/sync", json!({ "script": script, "args": arguments }))
            .await
    }

    /// The page as a person reads it.
    pub(crate) async fn text(&self) -> String {
        let text = self.script("return document.body.innerText", json!([])).await;
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until the page shows a text.
    pub(crate) async fn shows(&self, text: &str) {
        self.until(text, true).await;
    }

    /// Waits until the page no longer shows a text.
    pub(crate) async fn loses(&self, text: &str) {
        self.until(text, false).await;
    }

    async fn until(&self, text: &str, wanted: bool) {
        // While a page is being loaded there is none.
        let script = "return document.readyState === 'complete' ? document.body.innerText : null";
        for _ in 0..WAITS {
            let shown = json!({ "script": script, "args": [] });
            let shown = self.try_call("execute/sync", shown).await;
            if shown.is_ok_and(|shown| shown.as_str().is_some_and(|shown| shown.contains(text) == wanted)) {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
        self.picture("failed").await;
        panic!(
            "whether the page shows {text:?} is not {wanted}:\n{}",
            self.text().await
        );
    }

    async fn element(&self, css: &str) -> String {
        for _ in 0..WAITS {
            let found = self
                .try_call("element", json!({ "using": "css selector", "value": css }))
                .await;
            if let Ok(found) = found {
                return found[ELEMENT].as_str().expect("an element").to_owned();
            }
            tokio::time::sleep(PAUSE).await;
        }
        self.picture("failed").await;
        panic!("no {css} on the page:\n{}", self.text().await);
    }

    /// Clicks, as a person does.
    pub(crate) async fn click(&self, css: &str) {
        let element = self.element(css).await;
        self.call(&format!("element/{element}/click"), json!({})).await;
    }

    /// Types into a field.
    pub(crate) async fn write(&self, css: &str, text: &str) {
        let element = self.element(css).await;
        self.call(&format!("element/{element}/clear"), json!({})).await;
        self.call(&format!("element/{element}/value"), json!({ "text": text }))
            .await;
    }

    /// Chooses of a list.
    pub(crate) async fn choose(&self, css: &str, value: &str) {
        self.element(css).await;
        let script = "const e = document.querySelector(arguments[0]); e.value = arguments[1]; return e.value === arguments[1]";
        let chosen = self.script(script, json!([css, value])).await;
        assert_eq!(chosen, Value::Bool(true), "{css} has no choice {value}");
    }

    /// The first text that matches a selector.
    pub(crate) async fn read(&self, css: &str) -> String {
        let element = self.element(css).await;
        let text = self
            .script("return arguments[0].textContent", json!([{ ELEMENT: element }]))
            .await;
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Takes a picture of the page.
    pub(crate) async fn picture(&self, name: &str) {
        let path = format!("session/{}/screenshot", self.session);
        let body = self
            .client
            .get(&path, ANSWER)
            .await
            .expect("a picture")
            .expect("a picture");
        let answer: Value = serde_json::from_slice(&body).expect("JSON");
        let png = STANDARD
            .decode(answer["value"].as_str().expect("a picture"))
            .expect("base64");
        std::fs::write(self.pictures.join(format!("{name}.png")), png).expect("written");
    }

    async fn width(&self, width: u32, height: u32) {
        self.call("window/rect", json!({ "width": width, "height": height }))
            .await;
    }

    /// Checks a page: pictures wide, narrow and dark; nothing to scroll sideways on a telephone; axe-core finds nothing.
    pub(crate) async fn check(&mut self, name: &str) {
        self.picture(name).await;
        self.width(500, 900).await;
        let narrow = json!({ "cmd": "Emulation.setDeviceMetricsOverride", "params": { "width": 320, "height": 800, "deviceScaleFactor": 1, "mobile": true } });
        self.call("goog/cdp/execute", narrow).await;
        let over = self
            .script("return document.documentElement.scrollWidth - 320", json!([]))
            .await;
        self.picture(&format!("{name}-phone")).await;
        assert!(
            over.as_i64().is_some_and(|over| over <= 0),
            "{name} scrolls sideways by {over} at 320 pixels"
        );
        self.call(
            "goog/cdp/execute",
            json!({ "cmd": "Emulation.clearDeviceMetricsOverride", "params": {} }),
        )
        .await;
        self.width(1280, 1000).await;
        self.scheme("dark").await;
        self.picture(&format!("{name}-dark")).await;
        let dark = self.axe().await;
        self.scheme("light").await;
        let light = self.axe().await;
        assert!(
            light.is_empty() && dark.is_empty(),
            "{name}: light {light:#?} dark {dark:#?}"
        );
        self.checked.push(name.to_owned());
    }

    async fn scheme(&self, scheme: &str) {
        let emulate = json!({ "cmd": "Emulation.setEmulatedMedia", "params": { "features": [{ "name": "prefers-color-scheme", "value": scheme }] } });
        self.call("goog/cdp/execute", emulate).await;
    }

    /// What axe-core finds, each with the elements.
    async fn axe(&self) -> Vec<String> {
        let Some(axe) = &self.axe else { return Vec::new() };
        // A content security policy does not hold for WebDriver's scripts.
        self.script(&format!("{axe}\nwindow.axe = axe;"), json!([])).await;
        let run = "const done = arguments[arguments.length - 1]; \
            axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }) \
            .then(found => done(found.violations.map(v => v.id + ': ' + v.help + ' ' + v.nodes.map(n => n.html).join(' | '))), e => done(['' + e]))";
        let found = self
            .call("execute/async", json!({ "script": run, "args": [] }))
            .await;
        found
            .as_array()
            .into_iter()
            .flatten()
            .map(|one| one.as_str().unwrap_or_default().to_owned())
            .collect()
    }
}
