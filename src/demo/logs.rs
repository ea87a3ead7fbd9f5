//! What services write to their logs: lines of the catalogue filled in, errors with stack traces, housekeeping.

use std::fmt::Write as _;

use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, KeyValue, KeyValueList, any_value::Value},
    logs::v1::LogRecord,
};
use rand::{Rng, rngs::StdRng};

use super::{
    catalogue::{Language, Trigger},
    conditions::{Conditions, Event},
    traffic::{Failure, User},
    values::{double, flag, int, lognormal, pick, string, text, uuid},
    world::{OperationId, Pod, World, version},
};

/// Severity number and text.
pub(super) type Severity = (i32, &'static str);
pub(super) const DEBUG: Severity = (5, "DEBUG");
pub(super) const INFO: Severity = (9, "INFO");
pub(super) const WARN: Severity = (13, "WARN");
pub(super) const ERROR: Severity = (17, "ERROR");
pub(super) const FATAL: Severity = (21, "FATAL");

const WORDS: [&str; 16] = [
    "jacket", "espresso", "lamp", "trail", "winter", "oak", "copper", "harbour", "north", "violet", "atlas", "ember",
    "咖啡", "键盘", "meadow", "quartz",
];

/// A served call as its log tells it.
pub(super) struct Told<'a> {
    pub(super) pod: Pod,
    pub(super) operation: OperationId,
    pub(super) trace_id: [u8; 16],
    pub(super) span_id: [u8; 8],
    pub(super) status: i64,
    pub(super) duration_nano: u64,
    /// True end of the call.
    pub(super) end: u64,
    pub(super) failure: Option<&'a Failure>,
    /// The failure is the service's own and not one of its callees'.
    pub(super) own: bool,
}

/// Adds the records that a served call leaves behind: often a line, sometimes a second one, always one for a failure.
pub(super) fn narrate(world: &World, rng: &mut StdRng, event: &Told<'_>, user: &User, out: &mut Vec<(Pod, LogRecord)>) {
    let service = world.service(event.operation.service);
    let (usual, rare) = service.lines.split_first().unwrap_or((&"", &[]));
    if rng.random_bool(0.45) {
        let severity = if event.status == 404 { WARN } else { INFO };
        let body =
            if service.name == "audit-log" { audit(rng, user) } else { string(fill(usual, world, rng, event, user)) };
        out.push(record(world, rng, event, user, severity, body, Vec::new()));
    }
    if !rare.is_empty() && rng.random_bool(0.08) {
        let line = pick(rng, rare);
        // Lines in Chinese tell of ordinary business.
        let severity = if !line.is_ascii() { INFO } else { pick(rng, &[DEBUG, DEBUG, WARN]) };
        let body = string(fill(line, world, rng, event, user));
        out.push(record(world, rng, event, user, severity, body, Vec::new()));
    }
    if let Some(failure) = event.failure {
        let operation = world.operation(event.operation);
        let (severity, extra) = if event.own {
            (ERROR, exception(world, rng, event.pod.instance, failure))
        } else {
            (WARN, vec![text("exception.type", failure.exception), text("exception.message", failure.message.as_str())])
        };
        let body = format!(
            "{} {}: {}",
            if event.own { "Unhandled exception while serving" } else { "Dependency failed while serving" },
            operation.name,
            failure.message
        );
        out.push(record(world, rng, event, user, severity, string(body), extra));
    }
}

/// A record without a trace: health checks, garbage collection, configuration.
/// None from a process that is not there.
pub(super) fn housekeeping(
    world: &World,
    conditions: &Conditions,
    rng: &mut StdRng,
    at: u64,
) -> Option<(Pod, LogRecord)> {
    let instance = rng.random_range(0..world.instances.len());
    let service = world.service(world.instances[instance].service);
    let (severity, body) = match rng.random_range(0..10) {
        0..4 => (DEBUG, "GET /healthz -> 200".to_owned()),
        4..6 if service.language == Language::Java => (
            INFO,
            format!(
                "[gc] GC({}) Pause Young (Normal) {}M->{}M(512M) {:.3}ms",
                rng.random_range(100..9000),
                rng.random_range(280..480),
                rng.random_range(90..200),
                lognormal(rng, 4.0, 0.5)
            ),
        ),
        4..7 => {
            (DEBUG, format!("Span batch flushed spans={} queue={}", rng.random_range(1..512), rng.random_range(0..40)))
        }
        7..9 => (
            INFO,
            format!(
                "Reloaded configuration shop revision {:012x} in {}ms",
                rng.random::<u64>() >> 16,
                rng.random_range(2..90)
            ),
        ),
        _ => (
            WARN,
            format!(
                "clock of {} differs from NTP by {} ms",
                world.node_of(instance).name,
                world.node_of(instance).skew_nano / 1_000_000
            ),
        ),
    };
    let pod = conditions.pod(instance);
    let said = (pod, note(world, rng, pod, at, severity, body, vec![text("log.iostream", "stdout")]));
    conditions.exports(world, instance).then_some(said)
}

/// What processes say about being started, changed and killed in this second.
pub(super) fn incidents(world: &World, conditions: &Conditions, rng: &mut StdRng) -> Vec<(Pod, LogRecord)> {
    let mut out = Vec::new();
    let second = conditions.second;
    for (instance, described) in world.instances.iter().enumerate() {
        let service = world.service(described.service);
        let pod = conditions.pod(instance);
        let said = match conditions.event(world, instance) {
            Some(Event::Started) => {
                let version = version(service, pod.release);
                (INFO, format!("{} {version} started in {} ms", service.name, rng.random_range(900..6000)))
            }
            Some(Event::OutOfMemory) => (FATAL, out_of_memory(service.language).to_owned()),
            Some(Event::CannotStart) => {
                (FATAL, format!("startup of {} failed: certificate has expired, exit code 1", service.name))
            }
            Some(Event::Flag { word, percent }) => (INFO, format!("flag {word}-rollout raised to {percent} percent")),
            None => continue,
        };
        let at = second * 1_000_000_000 + rng.random_range(0..1_000_000_000);
        out.push((pod, note(world, rng, pod, at, said.0, said.1, vec![text("log.iostream", "stderr")])));
    }
    out
}

/// A garbage collection of a process that has hardly any memory left.
pub(super) fn collection(language: Language, rng: &mut StdRng, ms: f64) -> String {
    let (number, left) = (rng.random_range(100..9000), rng.random_range(1..9));
    match language {
        Language::Java => {
            format!("[gc] GC({number}) Pause Full (G1 Compaction Pause) 510M->{}M(512M) {ms:.3}ms", 510 - left)
        }
        Language::Nodejs => format!("Mark-Compact ({number}) 1021.4 -> 101{left}.8 MB, {ms:.1} ms, allocation failure"),
        Language::Go => format!("gc {number}: forced assist, heap 99{left} MB of 1000 MB goal, stopped {ms:.1} ms"),
        Language::Dotnet => format!("GC gen2 #{number} blocking, heap 98{left} MB of 1000 MB limit, paused {ms:.1} ms"),
        _ => format!("memory is nearly exhausted, allocation #{number} waited {ms:.1} ms"),
    }
}

const fn out_of_memory(language: Language) -> &'static str {
    match language {
        Language::Java => "Terminating due to java.lang.OutOfMemoryError: Java heap space",
        Language::Nodejs => "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory",
        Language::Go => "fatal error: runtime: out of memory",
        Language::Dotnet => "Process terminated. Out of memory.",
        _ => "Killed: container exceeded its memory limit (exit code 137)",
    }
}

/// A record of a pod that belongs to no trace.
pub(super) fn note(
    world: &World,
    rng: &mut StdRng,
    pod: Pod,
    at: u64,
    severity: Severity,
    body: String,
    attributes: Vec<KeyValue>,
) -> LogRecord {
    LogRecord {
        time_unix_nano: world.shown(pod.instance, at),
        observed_time_unix_nano: at + rng.random_range(1_000_000..40_000_000),
        severity_number: severity.0,
        severity_text: severity.1.to_owned(),
        body: Some(string(body)),
        attributes,
        ..Default::default()
    }
}

/// The same record within a span.
pub(super) fn within(record: LogRecord, (trace_id, span_id): (Vec<u8>, Vec<u8>)) -> LogRecord {
    LogRecord { flags: 1, trace_id, span_id, ..record }
}

/// `exception.*` of a failure, with a stack trace in the style of the service's language.
pub(super) fn exception(world: &World, rng: &mut StdRng, instance: usize, failure: &Failure) -> Vec<KeyValue> {
    let service = world.service(world.instances[instance].service);
    vec![
        text("exception.type", failure.exception),
        text("exception.message", failure.message.as_str()),
        text("exception.stacktrace", stack_trace(service.language, service.name, failure, rng)),
    ]
}

fn record(
    world: &World,
    rng: &mut StdRng,
    event: &Told<'_>,
    user: &User,
    severity: Severity,
    body: AnyValue,
    mut attributes: Vec<KeyValue>,
) -> (Pod, LogRecord) {
    let service = world.service(event.operation.service);
    let operation = world.operation(event.operation);
    if let Trigger::Http(method) = operation.trigger {
        attributes.push(text("http.request.method", method));
        attributes.push(text("http.route", operation.name));
        attributes.push(int("http.response.status_code", event.status));
    }
    attributes.push(double("duration_ms", (event.duration_nano as f64 / 1e3).round() / 1e3));
    attributes.push(text("customer.tier", user.tier));
    if rng.random_bool(0.5) {
        attributes.push(text("user.id", user.id.as_str()));
    }
    if service.language == Language::Java {
        attributes.push(text("code.namespace", format!("com.shop.{}.Service", service.name.replace('-', ""))));
        attributes.push(text("thread.name", format!("http-nio-8080-exec-{}", rng.random_range(1..64))));
    }
    let at = event.end.saturating_sub(rng.random_range(0..200_000));
    let event_name = if service.name == "checkout" && severity == INFO { "shop.order.placed" } else { "" };
    (
        event.pod,
        LogRecord {
            time_unix_nano: world.shown(event.pod.instance, at),
            observed_time_unix_nano: at + rng.random_range(500_000..30_000_000),
            severity_number: severity.0,
            severity_text: severity.1.to_owned(),
            body: Some(body),
            attributes,
            flags: 1,
            trace_id: event.trace_id.to_vec(),
            span_id: event.span_id.to_vec(),
            event_name: event_name.to_owned(),
            ..Default::default()
        },
    )
}

/// A body that is not text: the audit log writes maps.
fn audit(rng: &mut StdRng, user: &User) -> AnyValue {
    let values = vec![
        text("action", pick(rng, &["payment.authorize", "session.create", "account.update"])),
        text("actor", user.id.as_str()),
        flag("allowed", rng.random_bool(0.98)),
        int("sequence", rng.random_range(1..i64::MAX)),
        text("record", uuid(rng)),
    ];
    AnyValue { value: Some(Value::KvlistValue(KeyValueList { values })) }
}

/// Replaces each `{placeholder}` of a line.
fn fill(line: &str, world: &World, rng: &mut StdRng, event: &Told<'_>, user: &User) -> String {
    let mut out = String::with_capacity(line.len() + 64);
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let (name, after) = after.split_once('}').unwrap_or((after, ""));
        rest = after;
        let written = match name {
            "operation" => {
                let id = rng.random_range(1..1_000_000u32).to_string();
                write!(out, "{}", world.operation(event.operation).name.replace("{id}", &id))
            }
            "status" => write!(out, "{}", event.status),
            "ms" => write!(out, "{:.1}", event.duration_nano as f64 / 1e6),
            "user" => write!(out, "{}", user.id),
            "ip" => write!(out, "{}", user.address),
            "bytes" => write!(out, "{}", lognormal(rng, 4000.0, 1.2) as u64),
            "num" => write!(out, "{}", rng.random_range(0..100_000)),
            "small" => write!(out, "{}", rng.random_range(1..50)),
            "hex" => write!(out, "{:012x}", rng.random::<u64>() >> 16),
            "uuid" => write!(out, "{}", uuid(rng)),
            "order" => write!(out, "ORD-{:08}", rng.random_range(0..100_000_000u32)),
            "money" => write!(out, "{:.2}", lognormal(rng, 48.0, 0.8)),
            "hit" => write!(out, "{}", rng.random_bool(0.8)),
            "word" => write!(out, "{}", pick(rng, &WORDS)),
            "locale" => write!(out, "{}", pick(rng, &["de-DE", "en-GB", "fr-FR", "zh-CN"])),
            "country" => write!(out, "{}", pick(rng, &["DE", "FR", "GB", "CN", "US"])),
            "currency" => write!(out, "{}", pick(rng, &["USD", "GBP", "CNY", "CHF"])),
            "card" => write!(out, "{}", pick(rng, &["visa", "mastercard", "unionpay", "paypal"])),
            "partner" => write!(out, "{}", pick(rng, &["nordhaus", "plumier", "seaward"])),
            other => write!(out, "{{{other}}}"),
        };
        written.expect("writing to a string never fails");
    }
    out.push_str(rest);
    out
}

fn stack_trace(language: Language, service: &str, failure: &Failure, rng: &mut StdRng) -> String {
    let module = service.replace('-', "_");
    let mut out = match language {
        Language::Python => "Traceback (most recent call last):\n".to_owned(),
        _ => format!("{}: {}\n", failure.exception, failure.message),
    };
    for _ in 0..rng.random_range(6..18) {
        let (layer, method) = pick(
            rng,
            &[
                ("Controller", "handle"),
                ("Service", "execute"),
                ("Repository", "find_by_id"),
                ("Client", "invoke"),
                ("Listener", "on_message"),
            ],
        );
        let line = rng.random_range(20..400);
        let written = match language {
            Language::Python => {
                writeln!(out, "  File \"/app/{module}/{}.py\", line {line}, in {method}", layer.to_lowercase())
            }
            Language::Go => writeln!(
                out,
                "github.com/shop/{service}/internal.(*{layer}).{method}\n\t/src/{}.go:{line}",
                layer.to_lowercase()
            ),
            Language::Nodejs => writeln!(out, "    at {layer}.{method} (/app/dist/{module}.js:{line}:17)"),
            Language::Rust | Language::Cpp => writeln!(out, "   {line}: {module}::{}::{method}", layer.to_lowercase()),
            _ => writeln!(out, "\tat com.shop.{module}.{layer}.{method}({layer}.java:{line})"),
        };
        written.expect("writing to a string never fails");
    }
    if language == Language::Python {
        writeln!(out, "{}: {}", failure.exception, failure.message).expect("writing to a string never fails");
    }
    out
}
