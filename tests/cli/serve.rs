//! `tealight serve`, as programs and browsers use it: over a real socket.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tealight::io::Checkpoint;
use tealight::prelude::*;

use super::{TABLE, error, flowers, folder, photo, photos, said};

/// A running server, which ends with the test.
struct Server {
    program: Child,
    address: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

struct Answer {
    status: u16,
    headers: String,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{}", self.text()))
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Status and message of an error.
    fn error(&self) -> (u16, String) {
        (self.status, self.json()["error"].as_str().unwrap_or_else(|| panic!("{}", self.text())).to_string())
    }
}

impl Server {
    fn start(here: &Path, arguments: &[&str]) -> Self {
        Server::of(here, &[&["serve"], arguments, &["--port", "0"]].concat())
    }

    /// A command that prints its address.
    fn of(here: &Path, arguments: &[&str]) -> Self {
        let mut program = Command::new(env!("CARGO_BIN_EXE_tealight"))
            .current_dir(here)
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(program.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let (_, rest) = line.split_once("http://").unwrap_or_else(|| panic!("{line:?}"));
        let address = rest.split('/').next().unwrap().to_string();
        Server { program, address }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// A request with a body, and more header lines.
    fn send(&self, line: &str, headers: &[&str], body: &[u8]) -> Answer {
        exchange(&mut self.connect(), &request(line, headers, body)).unwrap()
    }

    fn get(&self, path: &str) -> Answer {
        self.send(&format!("GET {path}"), &["host: localhost"], b"")
    }

    fn post(&self, path: &str, kind: &str, body: impl AsRef<[u8]>) -> Answer {
        let kind = format!("content-type: {kind}");
        self.send(&format!("POST {path}"), &["host: localhost", &kind], body.as_ref())
    }

    fn resident(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.program.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

fn request(line: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let mut text = format!("{line} HTTP/1.1\r\ncontent-length: {}\r\n", body.len());
    headers.iter().for_each(|header| text += &format!("{header}\r\n"));
    [text.as_bytes(), b"\r\n", body].concat()
}

/// Sends bytes, and reads one answer.
fn exchange(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<Answer> {
    stream.write_all(bytes)?;
    let (mut all, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        if let Some(end) = all.windows(4).position(|four| four == b"\r\n\r\n") {
            let headers = String::from_utf8_lossy(&all[..end]).to_ascii_lowercase();
            let length = headers.lines().find_map(|line| line.strip_prefix("content-length: "));
            let body = all[end + 4..].to_vec();
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                let status = headers.split(' ').nth(1).unwrap().parse().unwrap();
                return Ok(Answer { status, headers, body });
            }
        }
        match stream.read(&mut buffer)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            n => all.extend_from_slice(&buffer[..n]),
        }
    }
}

fn multipart(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, bytes) in files {
        let head = format!(
            "--xyz\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{name}\"\r\ncontent-type: text/x\r\n\r\n"
        );
        body.extend([head.as_bytes(), bytes, b"\r\n"].concat());
    }
    [&body[..], b"--xyz--\r\n"].concat()
}

const MULTIPART: &str = "multipart/form-data; boundary=xyz";

#[test]
fn a_table_over_http() {
    let here = folder();
    let here = here.path();
    flowers(here, 120);
    said(here, &[&TABLE[..], &["--quiet", "--epochs", "20"]].concat());
    let server = Server::start(here, &["model/model.safetensors"]);
    let health = server.get("/health");
    assert_eq!((health.status, health.json()), (200, json!({"status": "ok"})));
    for header in ["nosniff", "default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"] {
        assert!(health.headers.contains(header), "{}", health.headers);
    }
    for (path, word) in
        [("/", "<title>"), ("/page.js", "fetch"), ("/page.css", "--ink"), ("/docs", "openapi.json")]
    {
        let page = server.get(path);
        assert!(page.status == 200 && page.text().contains(word), "{path}");
        // No script, style or picture comes from elsewhere.
        assert!(!page.text().contains("http"), "{path}");
    }
    let model = server.get("/model.json").json();
    assert_eq!(model["classes"], json!(["iris", "lily", "rose"]));
    assert_eq!(model["inputs"]["columns"][1]["categories"], json!(["blue, pale", "red", "white"]));
    let api = server.get("/openapi.json").json();
    let example = &api["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]["example"];

    // Every form has the answer of `tealight predict`.
    let table = "weight,colour,length\n0.5,red,0.2\n,white,4.5\n0.1,\"blue, pale\",2.5\n";
    fs::write(here.join("table.csv"), table).unwrap();
    let csv = said(here, &["predict", "model/model.safetensors", "table.csv"]);
    let lines = said(here, &["predict", "model/model.safetensors", "table.csv", "--json"]);
    let mut expected: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let answer = server.post("/predict", "text/csv", table);
    assert_eq!((answer.status, &answer.json()["predictions"]), (200, &json!(expected)));
    let answer = server.post("/predict", MULTIPART, multipart(&[("table.csv", table.as_bytes())]));
    assert_eq!(answer.json()["predictions"], json!(expected));
    let headers = ["host: localhost", "content-type: text/csv; charset=utf-8", "accept: text/csv"];
    assert_eq!(server.send("POST /predict", &headers, table.as_bytes()).text(), csv);
    let kept = server.post("/predict?keep=true", "text/csv", table).json();
    assert_eq!(kept["predictions"][1]["columns"], json!({"colour": "white", "length": "4.5", "weight": ""}));
    expected.iter_mut().for_each(|object| drop(object.as_object_mut().unwrap().remove("path")));
    assert_eq!(expected.iter().map(|row| &row["class"]).collect::<Vec<_>>(), ["iris", "rose", "lily"]);
    for rows in [
        json!({"rows": [[0.2, "red", 0.5], [4.5, "white", null], [2.5, "blue, pale", "0.1"]]}),
        json!([{"length": 0.2, "colour": "red", "weight": 0.5}, {"length": "4.5", "colour": "white", "weight": ""},
            {"length": 2.5, "colour": "blue, pale", "weight": 0.1, "id": 7}]),
    ] {
        let answer = server.post("/predict", "application/json", rows.to_string());
        assert_eq!(answer.json()["predictions"], json!(expected), "{rows}");
    }
    for row in [json!([0.2, "red", 0.5]), json!({"length": 0.2, "colour": "red", "weight": 0.5})] {
        assert_eq!(
            server.post("/predict", "application/json", row.to_string()).json()["predictions"],
            json!(expected[..1])
        );
    }
    assert_eq!(server.post("/predict", "application/json", example.to_string()).status, 200);

    // One row that cannot be used does not spoil the others.
    let answer = server.post(
        "/predict",
        "application/json",
        r#"[[0.2, "red", 0.5], ["long", "red", 1], [1, "green", 1]]"#,
    );
    let rows = answer.json();
    assert_eq!((answer.status, &rows["predictions"][0]), (200, &expected[0]));
    assert_eq!(rows["predictions"][1]["problem"], "expected a number in column \"length\", got \"long\"");
    assert_eq!(
        rows["predictions"][2]["problem"],
        "expected one of blue, pale, red, white in column \"colour\", got \"green\""
    );
    let json = |body: &str| server.post("/predict", "application/json", body).error();
    for (body, status, message) in [
        ("{", 400, "expected JSON, got: "),
        ("", 400, "expected JSON, got: "),
        ("[]", 422, "expected a row, got an empty list"),
        ("7", 422, "row 1: expected an object or a list of values, got a single value"),
        ("[1]", 422, "row 1: expected 3 values, got 1"),
        ("[[1, [2], 3]]", 422, "row 1: expected numbers, texts or null as values, got a list"),
        (
            r#"{"length": 1, "color": "red"}"#,
            422,
            "row 1: expected a value for \"colour\" (null if it is missing), got color, length",
        ),
        ("[1e999, \"red\", 1]", 400, "expected JSON, got: number out of range"),
    ] {
        let (got, text) = json(body);
        assert!(got == status && text.starts_with(message), "{body}: {got} {text}");
    }
    let csv = |body: &[u8]| server.post("/predict", "text/csv", body).error();
    assert_eq!(csv(b""), (422, "table.csv: expected a table, got an empty file".into()));
    let (status, text) = csv(b"length\n1\n");
    assert!(status == 422 && text.contains("expected a column \"colour\""), "{text}");
    assert_eq!(csv(b"\x1f\x8b..").0, 415);
    assert_eq!(
        server.post("/predict", MULTIPART, "no part").error(),
        (422, "expected one file, got 0".into())
    );
    assert_eq!(server.post("/predict", "multipart/form-data", "").error().0, 400);
    assert_eq!(server.post("/predict", "image/png", "x").error().0, 415);
    let (status, text) = server.post("/predict", "application/x-www-form-urlencoded", "a=1").error();
    assert!(status == 415 && text.ends_with("got \"application/x-www-form-urlencoded\""), "{text}");

    // Other paths, methods and names.
    for path in
        ["/nothing", "/model.safetensors", "/../../../../etc/passwd", "/%2e%2e/etc/passwd", "//etc/passwd"]
    {
        assert_eq!(server.get(path).status, 404, "{path}");
    }
    let answer = server.get("/predict");
    assert!(answer.status == 405 && answer.headers.contains("allow: post"), "{}", answer.headers);
    assert_eq!(server.post("/health", "text/csv", "").status, 405);
    let port = server.address.rsplit(':').next().unwrap();
    for (host, status) in [
        ("localhost".to_string(), 200),
        (format!("LocalHost:{port}"), 200),
        (format!("127.0.0.1:{port}"), 200),
        ("[::1]".into(), 200),
        ("evil.example".into(), 403),
        ("127.0.0.1.evil.example".into(), 403),
        ("localhost.evil.example".into(), 403),
        ("192.168.0.1".into(), 403),
    ] {
        assert_eq!(server.send("GET /health", &[&format!("host: {host}")], b"").status, status, "{host}");
    }
    let host = "host: localhost";
    assert_eq!(server.send("GET /health", &[], b"").status, 403);
    assert_eq!(server.send("GET http://evil.example/health", &[host], b"").status, 403);
    assert_eq!(server.send("GET /health", &[host, "origin: http://evil.example"], b"").status, 403);
    assert_eq!(server.send("GET /health", &[host, "origin: null"], b"").status, 403);
    assert_eq!(
        server.send("GET /health", &[host, &format!("origin: http://localhost:{port}")], b"").status,
        200
    );
    drop(server);
    let server =
        Server::start(here, &["model/model.safetensors", "--host", "models.example", "--listen", "0.0.0.0"]);
    for (host, status) in [("models.example", 200), ("192.168.0.1", 200), ("evil.example", 403)] {
        assert_eq!(server.send("GET /health", &[&format!("host: {host}")], b"").status, status, "{host}");
    }
}

#[test]
fn pictures_over_http() {
    let here = folder();
    let here = here.path();
    photos(here, 8);
    said(here, &["train", "photos", "--size", "8", "--model", "logistic", "--epochs", "10", "--quiet"]);
    let server = Server::start(here, &["model/model.safetensors"]);
    photo(&here.join("new.png"), true, 100);
    let bytes = fs::read(here.join("new.png")).unwrap();
    let expected: Value =
        serde_json::from_str(&said(here, &["predict", "model/model.safetensors", "new.png", "--json"]))
            .unwrap();
    let answer = server.post("/predict?saliency=true", "image/png", &bytes);
    let prediction = &answer.json()["predictions"][0];
    assert_eq!((answer.status, &prediction["probabilities"]), (200, &expected["probabilities"]));
    assert!(prediction["class"] == "sun" && prediction["path"] == "image");
    assert_eq!(
        server.post("/predict", "application/octet-stream", &bytes).json()["predictions"][0]["class"],
        "sun"
    );

    // The model is linear: the gradient by a pixel is the weight over the deviation, and the largest of the channels counts.
    let picture = &prediction["picture"];
    let file = Checkpoint::read(here.join("model/model.safetensors")).unwrap();
    let weights = &file.tensors("model");
    let find = |end: &str| {
        let found = weights.iter().find(|(name, _)| name.ends_with(end)).unwrap().1;
        found.flatten(0, -1).unwrap().to_vec1::<f32>().unwrap()
    };
    let (weight, std) = (find(".weight"), find(".std"));
    let row = &weight[3 * 64..];
    let matters: Vec<f32> =
        (0..64).map(|i| (0..3).map(|c| (row[c * 64 + i] / std[c]).abs()).fold(0.0, f32::max)).collect();
    let most = matters.iter().copied().fold(0.0, f32::max);
    let got: Vec<f32> =
        picture["saliency"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32).collect();
    assert_eq!(got.len(), 64);
    for (got, expected) in got.iter().zip(matters) {
        assert!((got - 255.0 * expected / most).abs() <= 0.51, "{got} {expected}");
    }
    // What the model sees, as numbers, has the same answer.
    let pixels: Vec<f64> =
        picture["pixels"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap() / 255.0).collect();
    let plane = |c: usize| {
        (0..8).map(|y| (0..8).map(|x| pixels[(8 * y + x) * 3 + c]).collect()).collect::<Vec<Vec<f64>>>()
    };
    let planes = json!([plane(0), plane(1), plane(2)]);
    let seen = server.post("/predict", "application/json", planes.to_string()).json();
    let share = |value: &Value| value["probability"].as_f64().unwrap();
    assert!((share(&seen["predictions"][0]) - share(&expected)).abs() < 0.02);
    let two =
        server.post("/predict", "application/json", json!({"images": [planes, planes]}).to_string()).json();
    let [first, second] = [0, 1].map(|i| &two["predictions"][i]);
    assert_eq!((first, &first["class"]), (second, &seen["predictions"][0]["class"]));
    // A product of two rows adds in another order than one of a single row.
    assert!((share(first) - share(&seen["predictions"][0])).abs() < 1e-6, "{two}");

    let body = multipart(&[("a.png", &bytes), ("b.png", b"no picture"), ("c.png", &bytes)]);
    let three = server.post("/predict", MULTIPART, body).json();
    let three = three["predictions"].as_array().unwrap();
    assert_eq!((three.len(), &three[0]["path"], &three[2]["class"]), (3, &json!("a.png"), &json!("sun")));
    assert!(three[1]["problem"].as_str().unwrap().starts_with("expected a PNG, "), "{}", three[1]);
    for (kind, body, status, message) in [
        ("image/jpeg", &b"no picture"[..], 422, "image: expected a PNG, "),
        (MULTIPART, b"--xyz--\r\n", 422, "expected an image, got none"),
        ("text/csv", b"a,b", 415, "expected an image, got text"),
        (
            "application/json",
            b"[[1, 2], [3]]",
            422,
            "expected numbers from 0 to 1 of the shape [n, 3, 8, 8], got lists of 2 and of 1",
        ),
        (
            "application/json",
            b"[[1, 2], 3]",
            422,
            "expected numbers from 0 to 1 of the shape [n, 3, 8, 8], got a number beside lists",
        ),
        (
            "application/json",
            b"[1]",
            422,
            "expected numbers from 0 to 1 of the shape [n, 3, 8, 8], got the shape [1]",
        ),
        (
            "application/json",
            b"[[\"x\"]]",
            422,
            "expected numbers from 0 to 1 of the shape [n, 3, 8, 8], got \"x\" instead of a number",
        ),
    ] {
        let (got, text) = server.post("/predict", kind, body).error();
        assert!(got == status && text.starts_with(message), "{got} {text}");
    }
    let mut bright = planes.clone();
    bright[0][0][0] = json!(255);
    let (status, text) = server.post("/predict", "application/json", bright.to_string()).error();
    assert!(status == 422 && text.ends_with("of the shape [n, 3, 8, 8], got 255"), "{text}");
}

#[test]
fn limits() {
    let here = folder();
    let here = here.path();
    flowers(here, 60);
    said(here, &[&TABLE[..], &["--quiet", "--epochs", "2"]].concat());
    let limits = ["--max-bytes", "1000", "--timeout", "1", "--max-connections", "2"];
    let server = Server::start(here, &[&["model/model.safetensors"], &limits[..]].concat());
    let (status, text) = server.post("/predict", "text/csv", vec![b' '; 3000]).error();
    assert_eq!((status, text.as_str()), (413, "expected at most 1000 bytes (--max-bytes), got 3000 or more"));
    // Far larger ones are not read.
    let headers = ["host: localhost", "content-type: text/csv", "content-length: 99999999999"];
    let text = format!("POST /predict HTTP/1.1\r\n{}\r\n\r\n{}", headers.join("\r\n"), " ".repeat(2000));
    assert_eq!(exchange(&mut server.connect(), text.as_bytes()).unwrap().status, 413);
    // Without a length, in chunks.
    let text = "POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\n";
    assert_eq!(exchange(&mut server.connect(), text.as_bytes()).unwrap().status, 422);
    // A body that does not come, and headers that do not.
    let text =
        "POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/csv\r\ncontent-length: 10\r\n\r\na";
    let late = exchange(&mut server.connect(), text.as_bytes()).unwrap();
    assert_eq!(late.error(), (408, "expected a whole body within 1 second (--timeout)".into()));
    let mut slow = server.connect();
    slow.write_all(b"GET /health HT").unwrap();
    let mut rest = Vec::new();
    slow.read_to_end(&mut rest).unwrap();
    assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&rest));

    // A third connection is told to come back; a place that is given up is free.
    let [mut first, mut second] = [server.connect(), server.connect()];
    let health = request("GET /health", &["host: localhost"], b"");
    assert_eq!(exchange(&mut first, &health).unwrap().status, 200);
    assert_eq!(exchange(&mut second, &health).unwrap().status, 200);
    let mut third = server.connect();
    let mut told = Vec::new();
    third.read_to_end(&mut told).unwrap();
    assert!(told.starts_with(b"HTTP/1.1 503 "), "{}", String::from_utf8_lossy(&told));
    drop((first, second));
    let mut tries = 0;
    while exchange(&mut server.connect(), &health).is_err() {
        tries += 1;
        assert!(tries < 1000);
        std::thread::sleep(Duration::from_millis(10));
    }

    // A port that is taken, and a file that is no model.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let line = error(here, &["serve", "model/model.safetensors", "--port", &port]);
    assert!(line.starts_with(&format!("127.0.0.1:{port}: expected a free port, got one in use")), "{line}");
    assert!(error(here, &["serve", "flowers.csv"]).starts_with("flowers.csv: expected "));
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_it() {
    let here = folder();
    let here = here.path();
    flowers(here, 60);
    said(here, &[&TABLE[..], &["--quiet", "--epochs", "2"]].concat());
    for signal in ["-INT", "-TERM"] {
        let mut server = Server::start(here, &["model/model.safetensors"]);
        let mut open = server.connect();
        assert_eq!(
            exchange(&mut open, &request("GET /health", &["host: localhost"], b"")).unwrap().status,
            200
        );
        let id = server.program.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
        assert_eq!(server.program.wait().unwrap().code(), Some(0));
    }
}

/// Requests that are damaged in every way leave it serving.
#[test]
fn malformed_requests() {
    let here = folder();
    let here = here.path();
    flowers(here, 60);
    said(here, &[&TABLE[..], &["--quiet", "--epochs", "2"]].concat());
    let server = Server::start(here, &["model/model.safetensors"]);
    let rng = &mut Rng::seed(8);
    let valid = [
        request(
            "POST /predict",
            &["host: localhost", "content-type: application/json"],
            br#"{"rows": [[1.5, "red", 0.5], [null, "white", "0.25"]]}"#,
        ),
        request(
            "POST /predict",
            &["host: localhost", "content-type: text/csv"],
            b"length,colour,weight\n1,red,0.5\n2,\"blue, pale\",\n",
        ),
        request(
            "POST /predict",
            &["host: localhost", &format!("content-type: {MULTIPART}")],
            &multipart(&[("t.csv", b"length,colour,weight\n1,red,0.5\n")]),
        ),
        request("GET /health", &["host: localhost", "origin: http://localhost"], b""),
    ];
    let (mut answered, mut good) = (0, 0);
    for _ in 0..10_000 {
        let mut bytes = valid[rng.below(valid.len())].clone();
        for _ in 0..1 + rng.below(6) {
            let at = rng.below(bytes.len());
            match rng.below(6) {
                0 => bytes[at] = rng.below(256) as u8,
                1 => bytes.truncate(at + 1),
                2 => drop(bytes.remove(at)),
                3 => bytes.insert(at, b"\r\n:{}[]\",-0\0\xff"[rng.below(13)]),
                4 => bytes.extend_from_within(at..),
                _ => bytes.rotate_left(at.min(3)),
            }
            if bytes.is_empty() {
                bytes.push(b'\n');
            }
        }
        let mut stream = server.connect();
        // The server may have closed before all is written.
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut told = Vec::new();
        let _ = stream.read_to_end(&mut told);
        answered += usize::from(told.starts_with(b"HTTP/1.1 "));
        good += usize::from(told.starts_with(b"HTTP/1.1 200"));
        assert!(!told.starts_with(b"HTTP/1.1 5"), "{:?}", String::from_utf8_lossy(&bytes));
    }
    assert!(answered > 5000 && (50..5000).contains(&good), "{answered} {good}");
    let answer = server.post("/predict", "application/json", r#"[1.5, "red", 0.5]"#);
    assert_eq!(answer.status, 200);
}

/// The memory of a server does not grow.
#[cfg(target_os = "linux")]
#[test]
fn memory_is_flat() {
    let here = folder();
    let here = here.path();
    flowers(here, 60);
    said(here, &[&TABLE[..], &["--quiet", "--epochs", "2"]].concat());
    let server = Server::start(here, &["model/model.safetensors"]);
    let one = request(
        "POST /predict",
        &["host: localhost", "content-type: application/json"],
        br#"[[1.5, "red", 0.5]]"#,
    );
    let many = |count: usize| {
        let mut stream = server.connect();
        for _ in 0..count {
            assert_eq!(exchange(&mut stream, &one).unwrap().status, 200);
        }
    };
    many(500);
    let before = server.resident();
    many(4000);
    let after = server.resident();
    assert!(after < before + 2048, "{before} kB, then {after} kB");
}

/// Rows of numbers alone are read without a tree of values, and one row is answered by the recorded program.
#[test]
fn one_row_of_numbers() {
    let here = folder();
    let here = here.path();
    let row = |i: usize| format!("{},{},{}\n", i % 7, i % 5, ["no", "yes"][usize::from(i % 7 > 3)]);
    fs::write(here.join("t.csv"), (0..210).fold("a,b,y\n".to_string(), |t, i| t + &row(i))).unwrap();
    said(here, &["train", "t.csv", "--quiet", "--epochs", "2"]);
    let server = Server::start(here, &["model/model.safetensors"]);
    let post = |body: &str| server.post("/predict", "application/json", body);
    let one = |body: &str| post(body).json()["predictions"][0]["probabilities"].clone();
    let (first, second) = (one("[6, 1.5]"), one("[0, -0.25]"));
    let together = post(r#"{"rows": [[6, 1.5], [0, -0.25]]}"#).json();
    for (i, one) in [&first, &second].into_iter().enumerate() {
        let p = together["predictions"][i]["probabilities"]["yes"].as_f64().unwrap();
        assert!((p - one["yes"].as_f64().unwrap()).abs() < 1e-6, "{together} {one}");
    }
    assert_ne!(first, second);
    for _ in 0..20 {
        for body in
            [r#" {"rows": [[6, 1.5]]}"#, r#"{"rows": [{"b": 1.5, "a": 6}]}"#, "[[6, 1.5]]", "[6, 1.5]"]
        {
            assert_eq!(one(body), first, "{body}");
        }
        assert_eq!(one(r#"{"rows": [[0, -0.25]]}"#), second);
    }
    for body in ["[[[6, 1.5]]]", r#"{"rows": [[6]]}"#, r#"{"rows": []}"#, r#"{"rows": [[[6], 1.5]]}"#] {
        assert_eq!(post(body).status, 422, "{body}");
    }
    assert_eq!(post(r#"{"rows": [[6, 1e999]]}"#).status, 400);
}

/// `tealight train --watch`: its page, and the button that stops.
#[test]
fn a_training_is_watched() {
    let here = folder();
    let here = here.path();
    photos(here, 12);
    flowers(here, 240);
    let long = ["--watch", "--quiet", "--epochs", "100000", "--patience", "100000"];
    let photos = ["train", "photos", "--size", "8", "--model", "logistic", "--learning-rate", "0.0001"];
    let flowers = ["train", "flowers.csv", "--target", "kind", "--out", "one"];
    for (train, out, stage, said) in [
        (&photos[..], "model", "fold 1 of 5", "1 of 5 folds; kept the best epoch of each: "),
        (&flowers, "one", "", " epochs; kept the best, number "),
    ] {
        let mut server = Server::of(here, &[train, &long].concat());
        let state = || server.get("/state.json").json();
        let reached = |epoch: u64| {
            let there = |state: &Value| state["epoch"].as_u64().is_some_and(|now| now >= epoch);
            std::iter::repeat_with(|| {
                std::thread::sleep(Duration::from_millis(20));
                state()
            })
            .find(there)
            .unwrap()
        };
        let now = reached(3);
        assert_eq!(
            (&now["stage"], &now["epochs"], &now["stopping"]),
            (&json!(stage), &json!(100_000), &json!(false))
        );
        for name in ["loss", "valid_loss", "valid_accuracy", "learning_rate"] {
            let epochs = now["epoch"].as_u64().unwrap() as usize;
            assert_eq!(now["curves"][name].as_array().unwrap().len(), epochs, "{now}");
        }
        let steps = now["steps_left"].as_u64().unwrap();
        // 192 rows are six batches; 19 photos are one, and ten more trainings follow at most.
        let most = if stage.is_empty() { 600_000 } else { 1_100_000 };
        assert!(steps < most && steps > most - 60_000, "{now}");
        // The pictures that are wrong, as the model sees them.
        if !stage.is_empty() {
            let after = reached(now["epoch"].as_u64().unwrap() + 3);
            assert!(after["worst"].as_str().unwrap().starts_with("fold 1 of 5 "), "{after}");
            let worst = server.get("/worst.json").json();
            for one in worst["worst"].as_array().unwrap() {
                assert!(one["true"] != one["answer"] && one["probability"].as_f64().unwrap() >= 0.5, "{one}");
                assert!(
                    one["name"]
                        .as_str()
                        .unwrap()
                        .starts_with(&format!("photos/{}/", one["true"].as_str().unwrap()))
                );
                assert_eq!(one["picture"]["pixels"].as_array().unwrap().len(), 192);
            }
        }
        for path in ["/", "/watch.js", "/common.js", "/page.css"] {
            let page = server.get(path);
            assert!(
                page.status == 200 && page.headers.contains("content-security-policy: default-src 'none'")
            );
        }
        assert_eq!(server.get("/model/model.safetensors").status, 404);
        assert_eq!(server.get("/stop").status, 405);
        let foreign = ["host: evil.example"];
        assert_eq!(server.send("GET /state.json", &foreign, b"").status, 403);
        assert_eq!(
            server.send("POST /stop", &["host: localhost", "origin: http://evil.example"], b"").status,
            403
        );
        assert_eq!(state()["stopping"], false);
        assert_eq!(server.send("POST /stop", &["host: localhost"], b"").status, 200);
        // The page learns how it ended, and then the program ends.
        let end = std::iter::repeat_with(|| {
            std::thread::sleep(Duration::from_millis(20));
            state()
        })
        .find(|state| state["done"] == true)
        .unwrap();
        assert!(end["summary"].as_str().unwrap().contains(said), "{end}");
        assert_eq!(server.program.wait().unwrap().code(), Some(0));
        assert!(here.join(out).join("report.html").exists());
    }
    // It can be continued, and a page changes no bit.
    let flowers = ["train", "flowers.csv", "--target", "kind", "--epochs", "4", "--quiet"];
    said(here, &[&flowers[..], &["--out", "plain"]].concat());
    let address = said(here, &[&flowers[..], &["--out", "watched", "--watch"]].concat());
    assert!(address.starts_with("the training is at http://127.0.0.1:"), "{address}");
    said(here, &["train", "flowers.csv", "--target", "kind", "--epochs", "2", "--quiet", "--out", "parts"]);
    said(here, &[&flowers[..], &["--out", "parts", "--watch", "--resume"]].concat());
    let model = |out: &str| fs::read(here.join(out).join("model.safetensors")).unwrap();
    assert!(model("plain") == model("watched") && model("plain") == model("parts"));
    // An error ends it at once.
    let line = error(here, &["train", "nothing.csv", "--watch", "--out", "other"]);
    assert!(line.starts_with("nothing.csv: expected a folder"), "{line}");
}
