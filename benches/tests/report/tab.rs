//! A page in headless Chromium, and what it requests and logs.
//!
//! Commands and events are those of the Chrome DevTools Protocol: <https://chromedevtools.github.io/devtools-protocol/>.

use std::{
    cell::RefCell,
    io::{BufRead, BufReader},
    net::TcpStream,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tempfile::TempDir;
use tungstenite::{Message, WebSocket};
use url::Url;

/// Names of the browser: `deploy/stack install --check` installs the first one.
const BROWSERS: [&str; 4] = ["chromium-headless-shell", "chromium", "google-chrome", "chrome"];

/// Precedes the address of the protocol on standard error.
const LISTENS: &str = "DevTools listening on ";

const TIMEOUT: Duration = Duration::from_secs(60);

/// Size and color scheme of the window.
#[derive(Clone, Copy)]
pub struct Window {
    pub width: u32,
    pub dark: bool,
}

impl Window {
    pub const DESKTOP: Self = Self { width: 1_280, dark: false };
    pub const DARK: Self = Self { width: 1_280, dark: true };
    pub const PHONE: Self = Self { width: 390, dark: false };
    const HEIGHT: u32 = 900;
}

#[derive(Clone, Copy)]
pub enum Mouse {
    Moved,
    Pressed,
    Released,
}

pub struct Tab {
    browser: Browser,
    connection: RefCell<Connection>,
}

impl Tab {
    /// Opens a file, and waits until its charts are drawn.
    pub fn open(file: &Path, window: Window) -> Self {
        let (browser, address) = Browser::launch();
        let tab = Self { browser, connection: RefCell::new(Connection::open(&address)) };
        for domain in ["Page", "Network", "Runtime", "Log"] {
            tab.call(&format!("{domain}.enable"), json!({}));
        }
        let phone = window.width < 600;
        let scale = if phone { 2 } else { 1 };
        let size =
            json!({ "width": window.width, "height": Window::HEIGHT, "deviceScaleFactor": scale, "mobile": phone });
        tab.call("Emulation.setDeviceMetricsOverride", size);
        let scheme = if window.dark { "dark" } else { "light" };
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        tab.call("Emulation.setEmulatedMedia", features);
        tab.call("Page.navigate", json!({ "url": Url::from_file_path(file).unwrap().as_str() }));
        tab.connection.borrow_mut().wait_for("Page.loadEventFired");
        assert_eq!(tab.evaluate::<String>("document.documentElement.dataset.ready ?? 'no'"), "yes");
        tab
    }

    fn call(&self, method: &str, parameters: Value) -> Value {
        self.connection.borrow_mut().call(method, parameters)
    }

    /// The value of an expression in the page.
    pub fn evaluate<T: DeserializeOwned>(&self, expression: &str) -> T {
        let parameters = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let mut evaluated = self.call("Runtime.evaluate", parameters);
        assert!(evaluated["exceptionDetails"].is_null(), "{expression}: {evaluated}");
        serde_json::from_value(evaluated["result"]["value"].take()).unwrap()
    }

    /// The texts of the elements that match a selector.
    pub fn texts(&self, selector: &str) -> Vec<String> {
        self.evaluate(&format!("[...document.querySelectorAll({selector:?})].map((found) => found.textContent)"))
    }

    /// Moves the mouse, or the pressed mouse, over the plot of a chart; `at` is 0 at its left and 1 at its right side.
    pub fn mouse(&self, chart: &str, at: f64, mouse: Mouse) {
        let place = format!(
            "(() => {{ const over = document.querySelector('#{chart} .u-over');
                over.scrollIntoView({{ block: 'center', behavior: 'instant' }});
                const box = over.getBoundingClientRect(); return [box.left, box.top + box.height / 2, box.width]; }})()"
        );
        let (left, middle, width): (f64, f64, f64) = self.evaluate(&place);
        let (kind, button, buttons, clicks) = match mouse {
            Mouse::Moved => ("mouseMoved", "none", 0, 0),
            Mouse::Pressed => ("mousePressed", "left", 1, 1),
            Mouse::Released => ("mouseReleased", "left", 1, 1),
        };
        let event = json!({
            "type": kind, "x": left + at * width, "y": middle,
            "button": button, "buttons": buttons, "clickCount": clicks,
        });
        self.call("Input.dispatchMouseEvent", event);
        self.evaluate::<bool>("new Promise((drawn) => requestAnimationFrame(() => setTimeout(() => drawn(true))))");
    }

    /// What was requested and logged, without the page itself. Closes the browser.
    pub fn close(mut self) -> Vec<String> {
        // What came before an answer has been received.
        self.evaluate::<bool>("true");
        self.connection.get_mut().session = None;
        self.call("Browser.close", json!({}));
        self.browser.process.wait().unwrap();
        self.connection.into_inner().messages
    }
}

struct Browser {
    process: Child,
    _profile: TempDir,
}

impl Browser {
    /// Starts a browser. Its address is that of the protocol.
    fn launch() -> (Self, String) {
        let profile = tempfile::tempdir().unwrap();
        let mut process = Command::new(program())
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-component-update"])
            .args(["--no-first-run", "--remote-debugging-port=0"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines().map_while(Result::ok);
        let browser = Self { process, _profile: profile };
        let address =
            lines.find_map(|line| line.strip_prefix(LISTENS).map(str::to_owned)).expect("no address is printed");
        // The browser ends when it writes to a closed pipe.
        std::thread::spawn(move || lines.count());
        (browser, address)
    }
}

impl Drop for Browser {
    /// Ends its whole group: what was started may be a script that starts the browser.
    fn drop(&mut self) {
        let _has_ended = kill_process_group(Pid::from_child(&self.process), Signal::KILL);
        let _has_ended = self.process.wait();
    }
}

fn program() -> PathBuf {
    let folders = std::env::var_os("PATH").unwrap();
    let program = BROWSERS
        .iter()
        .find_map(|name| std::env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| path.is_file()));
    program.expect("no Chromium is installed: run `deploy/stack install --check`")
}

/// A session of the protocol with one page.
struct Connection {
    socket: WebSocket<TcpStream>,
    /// The page; `None` for commands to the browser.
    session: Option<String>,
    calls: u64,
    /// Requests but that of a file, exceptions, messages of the console and of the browser.
    messages: Vec<String>,
}

impl Connection {
    fn open(address: &str) -> Self {
        let url = Url::parse(address).unwrap();
        let stream = TcpStream::connect((url.host_str().unwrap(), url.port().unwrap())).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        let (socket, _response) = tungstenite::client(address, stream).unwrap();
        let mut connection = Self { socket, session: None, calls: 0, messages: Vec::new() };
        let target = connection.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = connection.call("Target.attachToTarget", attach);
        connection.session = session["sessionId"].as_str().map(str::to_owned);
        connection
    }

    /// The result of a command.
    fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.calls += 1;
        let mut command = json!({ "id": self.calls, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            command["sessionId"] = json!(session);
        }
        self.socket.send(Message::text(command.to_string())).unwrap();
        loop {
            let mut answer = self.receive();
            if answer["id"] == self.calls {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].take();
            }
        }
    }

    fn wait_for(&mut self, event: &str) {
        while self.receive()["method"] != event {}
    }

    fn receive(&mut self) -> Value {
        let text = self.socket.read().unwrap().into_text().unwrap();
        let received: Value = serde_json::from_str(&text).unwrap();
        self.messages.extend(message(&received));
        received
    }
}

/// What is said of an event that a page of a file must not cause.
fn message(event: &Value) -> Option<String> {
    let parameters = &event["params"];
    match event["method"].as_str()? {
        "Network.requestWillBeSent" => {
            let url = parameters["request"]["url"].as_str()?;
            let is_the_page = url.starts_with("file://") && url.ends_with(".html");
            (!is_the_page).then(|| format!("request of {url}"))
        }
        "Runtime.exceptionThrown" => Some(format!("exception {}", parameters["exceptionDetails"])),
        "Log.entryAdded" => Some(format!("log {}", parameters["entry"])),
        "Runtime.consoleAPICalled" => Some(format!("console {}: {}", parameters["type"], parameters["args"])),
        _ => None,
    }
}
