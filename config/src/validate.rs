//! Pure: which values cannot work, alone or together.

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use crate::{Age, Budget, ByteSize, Config, Listener, RuleTable};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A key whose value cannot work.
#[derive(Debug)]
pub(crate) struct Violation {
    pub(crate) key: &'static str,
    /// Where the written value alone does not tell.
    pub(crate) found: Option<String>,
    pub(crate) allowed: String,
}

/// Everything that is wrong at once, in the order of `default.toml`.
pub(crate) fn violations(config: &Config) -> Vec<Violation> {
    let mut rules = Rules::default();
    listen(config, &mut rules);
    auth(config, &mut rules);
    sizes(config, &mut rules);
    durations(config, &mut rules);
    retention(config, &mut rules);
    counts(config, &mut rules);
    targets(config, &mut rules);
    rules.0
}

#[derive(Default)]
struct Rules(Vec<Violation>);

impl Rules {
    fn require(&mut self, holds: bool, key: &'static str, allowed: impl Into<String>) {
        if !holds {
            self.0.push(Violation { key, found: None, allowed: allowed.into() });
        }
    }
}

fn listen(config: &Config, rules: &mut Rules) {
    let listen = &config.listen;
    let listeners =
        [("listen.http", listen.http), ("listen.otlp_grpc", listen.otlp_grpc), ("listen.otlp_http", listen.otlp_http)];
    let certificate = !listen.tls_certificate_file.as_os_str().is_empty();
    let key = !listen.tls_key_file.as_os_str().is_empty();
    let pair = "both files of listen.tls_certificate_file and listen.tls_key_file, or neither";
    rules.require(!key || certificate, "listen.tls_certificate_file", pair);
    rules.require(!certificate || key, "listen.tls_key_file", pair);

    let guarded = certificate && key && !config.auth.tokens.is_empty();
    let mut taken = BTreeSet::<SocketAddr>::new();
    for (name, listener) in listeners {
        let Listener::Address(address) = listener else { continue };
        rules.require(
            address.ip().is_loopback() || guarded || listen.allow_insecure,
            name,
            "an address that others can reach needs tokens (auth.tokens, see `rootline token new`) and TLS \
             (listen.tls_certificate_file, listen.tls_key_file); behind a proxy or network that does both, allow it with \
             listen.allow_insecure = true",
        );
        rules.require(address.port() == 0 || taken.insert(address), name, "an address that no other listener has");
    }
    rules.require(listen.max_connections > 0, "listen.max_connections", "at least 1");
}

fn auth(config: &Config, rules: &mut Rules) {
    let mut names = BTreeSet::new();
    for token in &config.auth.tokens {
        let name = token.name.trim();
        rules.require(!name.is_empty() && names.insert(name), "auth.tokens", "each token has a name of its own");
        let hash = token.sha256.len() == 64
            && token.sha256.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        if !hash {
            rules.0.push(Violation {
                key: "auth.tokens",
                found: Some(format!("token {name:?} with a sha256 of {} characters", token.sha256.chars().count())),
                allowed: "64 lower-case hex digits, as `rootline token new` prints them".to_owned(),
            });
        }
    }
    let origins = config.auth.otlp_cors_origins.iter();
    let shaped = |origin: &str| {
        origin == "*"
            || ["http://", "https://"]
                .iter()
                .any(|scheme| origin.strip_prefix(scheme).is_some_and(|host| !host.is_empty() && !host.contains('/')))
    };
    for origin in origins.filter(|origin| !shaped(origin)) {
        rules.0.push(Violation {
            key: "auth.otlp_cors_origins",
            found: Some(format!("{origin:?}")),
            allowed: "an origin such as \"https://shop.example\", without a path, or \"*\"".to_owned(),
        });
    }
}

fn sizes(config: &Config, rules: &mut Rules) {
    let (kib, mib, gib) = (1u64 << 10, 1u64 << 20, 1u64 << 30);
    if let Budget::Fixed(size) = config.memory.budget {
        rules.require(size.as_u64() >= 256 * mib, "memory.budget", "\"auto\" or at least 256MiB");
    }
    let mut between = |key, size: ByteSize, low: u64, high: u64| {
        let allowed = format!("{} to {}", ByteSize::bytes(low), ByteSize::bytes(high));
        rules.require((low..=high).contains(&size.as_u64()), key, allowed);
    };
    // Arrow's text columns count their bytes in 31 bits, a WAL frame its payload in 32.
    between("ingest.max_request_size", config.ingest.max_request_size, kib, gib);
    between("storage.flush_size", config.storage.flush_size, 64 * kib, 4 * gib);
    between("storage.wal_file_size", config.storage.wal_file_size, 64 * kib, 4 * gib);
    between("storage.group_commit_size", config.storage.group_commit_size, 4 * kib, gib);
    between("compaction.target_size", config.compaction.target_size, mib, 64 * gib);
    between("compaction.memory", config.compaction.memory, 16 * mib, 1024 * gib);
    between("query.max_statement_size", config.query.max_statement_size, kib, 16 * mib);
}

fn durations(config: &Config, rules: &mut Rules) {
    let second = Duration::from_secs(1);
    let mut between = |key, value: Duration, low: Duration, high: Duration| {
        let allowed = format!("{} to {}", humantime::format_duration(low), humantime::format_duration(high));
        rules.require((low..=high).contains(&value), key, allowed);
    };
    between("listen.header_timeout", config.listen.header_timeout, second, 10 * 60 * second);
    between("ingest.read_timeout", config.ingest.read_timeout, second, 60 * 60 * second);
    between("ingest.max_future", config.ingest.max_future, Duration::ZERO, 3650 * DAY);
    between("ingest.dedup_window", config.ingest.dedup_window, second, DAY);
    between("ingest.retry_after", config.ingest.retry_after, Duration::from_millis(10), 60 * 60 * second);
    between("storage.flush_age", config.storage.flush_age, Duration::from_millis(100), DAY);
    between("storage.memtable_wait", config.storage.memtable_wait, Duration::ZERO, 60 * second);
    between("storage.time_bucket", config.storage.time_bucket, 60 * second, 366 * DAY);
    between("rollup.edge_wait", config.rollup.edge_wait, second, DAY);
    // Objectives count the last three hours in steps of ten seconds.
    between("rollup.fine_age", config.rollup.fine_age, 3 * 60 * 60 * second, 3650 * DAY);
    between("compaction.interval", config.compaction.interval, Duration::from_millis(100), DAY);
    between("compaction.grace", config.compaction.grace, Duration::ZERO, DAY);
    between("retention.interval", config.retention.interval, Duration::from_millis(100), DAY);
    between("query.max_timeout", config.query.max_timeout, second, DAY);
    between("query.timeout", config.query.timeout, Duration::from_millis(10), config.query.max_timeout);
    between("objective.interval", config.objective.interval, Duration::from_millis(100), 10 * 60 * second);
    between("alert.resend", config.alert.resend, second, 60 * 60 * second);
    between("cause.window_max", config.cause.window_max, 60 * second, 7 * DAY);
    between("cause.timeout", config.cause.timeout, second, 10 * 60 * second);
    between("cause.keep", config.cause.keep, 60 * second, 3650 * DAY);
    for (key, age) in [
        ("retention.logs", config.retention.logs),
        ("retention.spans", config.retention.spans),
        ("retention.metrics", config.retention.metrics),
    ] {
        // 292 years are what nanoseconds in 64 bits can count.
        let sane = match age {
            Age::Limited(age) => (60 * second..=36_500 * DAY).contains(&age),
            Age::Forever => true,
        };
        rules.require(sane, key, "1m to 100years, or \"forever\"");
    }
}

fn retention(config: &Config, rules: &mut Rules) {
    for (i, rule) in config.retention.rules.iter().enumerate() {
        let (of_logs, of_metrics) = (rule.table == RuleTable::Logs, rule.table == RuleTable::Metrics);
        let has_condition = rule.service.is_some()
            || rule.metric.is_some()
            || rule.severity_below.is_some()
            || !rule.attributes.is_empty();
        let sane = |age: Duration| (60 * Duration::from_secs(1)..=36_500 * DAY).contains(&age);
        let fits = [
            (has_condition, "at least one of service, metric, severity_below, attributes"),
            (rule.metric.is_none() || of_metrics, "metric only with table = \"metrics\""),
            (rule.severity_below.is_none() || of_logs, "severity_below only with table = \"logs\""),
            (rule.attributes.is_empty() || !of_metrics, "attributes only with table = \"logs\" or \"spans\""),
            (
                matches!(rule.keep, Age::Forever) || matches!(rule.keep, Age::Limited(age) if sane(age)),
                "keep of 1m to 100years, or \"forever\"",
            ),
        ];
        for (_, allowed) in fits.into_iter().filter(|(fits, _)| !fits) {
            let found = Some(format!("rule {} of {:?}", i + 1, rule.table));
            rules.0.push(Violation { key: "retention.rules", found, allowed: allowed.to_owned() });
        }
    }
}

fn counts(config: &Config, rules: &mut Rules) {
    let storage = &config.storage;
    let query = &config.query;
    rules.require(config.ingest.max_attribute_depth <= 64, "ingest.max_attribute_depth", "0 to 64");
    rules.require(
        (1..=16 << 20).contains(&storage.row_group_rows),
        "storage.row_group_rows",
        format!("1 to {}", 16 << 20),
    );
    rules.require(
        (1..=storage.row_group_rows).contains(&storage.page_rows),
        "storage.page_rows",
        "1 to storage.row_group_rows",
    );
    rules.require((1..=22).contains(&storage.zstd_level), "storage.zstd_level", "1 to 22");
    rules.require(
        (0.0..=1.0).contains(&storage.attribute_column_min_ratio),
        "storage.attribute_column_min_ratio",
        "0.0 to 1.0",
    );
    rules.require(
        storage.attribute_column_max_count <= 1000,
        "storage.attribute_column_max_count",
        "0 to 1000: each costs memory in every reader",
    );
    let rollup = &config.rollup;
    rules.require(
        (1_000..=10_000_000).contains(&rollup.edge_pending_max),
        "rollup.edge_pending_max",
        "1000 to 10000000",
    );
    rules.require((1..=100_000).contains(&rollup.max_operations), "rollup.max_operations", "1 to 100000");
    rules.require((1..=1_000_000).contains(&rollup.max_patterns), "rollup.max_patterns", "1 to 1000000");
    rules.require(config.compaction.min_segments >= 2, "compaction.min_segments", "at least 2");
    rules.require((8..=4096).contains(&query.max_statement_depth), "query.max_statement_depth", "8 to 4096");
    rules.require(query.max_concurrent > 0, "query.max_concurrent", "at least 1");
    rules.require(query.max_rows > 0, "query.max_rows", "at least 1");
    rules.require(query.max_search_limit > 0, "query.max_search_limit", "at least 1");
}

/// Who is told about alerts. Where a name leads is looked at when it is connected to.
fn targets(config: &Config, rules: &mut Rules) {
    let alert = &config.alert;
    let lists = [("alert.webhooks", &alert.webhooks), ("alert.alertmanagers", &alert.alertmanagers)];
    for (key, urls) in lists {
        for url in urls.iter().filter(|url| !is_http_url(url)) {
            rules.0.push(Violation {
                key,
                found: Some(format!("{url:?}")),
                allowed: "URLs that begin with http:// or https:// and a host".to_owned(),
            });
        }
    }
    let external = &alert.external_url;
    rules.require(
        external.is_empty() || is_http_url(external),
        "alert.external_url",
        "empty, or a URL such as \"https://telemetry.example\"",
    );
}

fn is_http_url(url: &str) -> bool {
    let host = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    host.is_some_and(|rest| {
        rest.starts_with(|c: char| c.is_alphanumeric() || c == '[')
            && !rest.contains(|c: char| c.is_whitespace() || c.is_control())
    })
}
