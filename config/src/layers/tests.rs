use std::time::Duration;

use super::*;
use crate::{Age, Listener};

fn from(file: &str, environment: &[(&str, &str)], flags: &[Flag]) -> Result<Config, Error> {
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    merged(Some((Path::new("rootline.toml"), file)), environment, flags)
}

fn refusal(file: &str, environment: &[(&str, &str)]) -> String {
    from(file, environment, &[]).expect_err("these settings must be refused").to_string()
}

#[test]
fn defaults_alone_are_valid() {
    let config = merged(None, [], &[]).expect("the defaults start a server");
    assert_eq!(config.query.timeout, Duration::from_secs(30));
    assert_eq!(toml::to_string(&config).ok(), toml::to_string(&Config::default()).ok());
}

#[test]
fn flags_win_over_environment_over_file_over_defaults() {
    let file = "[query]\ntimeout = \"1s\"\nmax_rows = 1\nmax_concurrent = 2";
    let environment = [("ROOTLINE__QUERY__TIMEOUT", "2s"), ("ROOTLINE__QUERY__MAX_ROWS", "3"), ("ROOTLINE_TOKEN", "x")];
    let flags = [Flag { name: "--timeout", key: "query.timeout", value: "4s".to_owned() }];
    let config = from(file, &environment, &flags).expect("all of these are settings");
    assert_eq!(config.query.timeout, Duration::from_secs(4));
    assert_eq!(config.query.max_rows, 3);
    assert_eq!(config.query.max_concurrent, 2);
    assert_eq!(config.query.max_search_limit, 10_000);
}

#[test]
fn text_settings_stay_text_and_lists_are_written_as_in_toml() {
    let environment = [
        ("ROOTLINE__STORAGE__DATA_DIR", "2026"),
        ("ROOTLINE__LISTEN__HTTP", "off"),
        ("ROOTLINE__RETENTION__LOGS", "forever"),
        ("ROOTLINE__AUTH__ALLOWED_HOSTS", "[\"a.example\", \"b.example\"]"),
    ];
    let config = from("", &environment, &[]).expect("valid");
    assert_eq!(config.storage.data_dir, Path::new("2026"));
    assert_eq!(config.listen.http, Listener::Off);
    assert_eq!(config.retention.logs, Age::Forever);
    assert_eq!(config.auth.allowed_hosts, ["a.example", "b.example"]);
}

#[test]
fn unknown_keys_name_themselves_their_source_and_what_is_known() {
    let message = refusal("[retention]\ntraces = \"3d\"\n[colour]\nred = 1", &[("ROOTLINE__INGEST__DEDUPE", "true")]);
    let lines: Vec<_> = message.lines().collect();
    assert_eq!(lines.len(), 3, "{message}");
    assert!(
        lines[0].starts_with("colour (rootline.toml): unknown key, expected one of alert, auth, cause"),
        "{message}"
    );
    assert!(lines[1].starts_with("ingest.dedupe (environment variable ROOTLINE__INGEST__DEDUPE): unknown key"));
    assert_eq!(
        lines[2],
        "retention.traces (rootline.toml): unknown key, expected one of interval, logs, metrics, rules, spans"
    );
}

#[test]
fn wrong_values_name_key_source_value_and_what_is_allowed() {
    assert_eq!(
        refusal("", &[("ROOTLINE__STORAGE__FLUSH_SIZE", "many")]),
        "storage.flush_size (environment variable ROOTLINE__STORAGE__FLUSH_SIZE): found \"many\": \
         expected a size such as \"64MiB\""
    );
    assert_eq!(
        refusal("[listen]\nhttp = \"localhost\"", &[]),
        "listen.http (rootline.toml): found \"localhost\": expected an address such as \"127.0.0.1:4317\" or \"off\""
    );
    assert_eq!(
        refusal("[ingest]\ndedup = \"yes\"", &[]),
        "ingest.dedup (rootline.toml): found string \"yes\": expected a boolean"
    );
    assert_eq!(
        refusal("[storage]\nzstd_level = 99\npage_rows = 0", &[]),
        "storage.page_rows (rootline.toml): found 0: 1 to storage.row_group_rows\n\
         storage.zstd_level (rootline.toml): found 99: 1 to 22"
    );
    assert_eq!(
        refusal("[telemetry]\nformat = \"xml\"", &[]),
        "telemetry.format (rootline.toml): found \"xml\": expected one of auto, pretty, json"
    );
    assert_eq!(refusal("[query]\n\ntimeout == 1", &[]).lines().count(), 1);
}

#[test]
fn an_address_others_can_reach_needs_tokens_and_tls_or_a_word() {
    let open = "[listen]\nhttp = \"0.0.0.0:7070\"\n";
    let message = refusal(open, &[]);
    assert!(message.starts_with("listen.http (rootline.toml): found \"0.0.0.0:7070\":"), "{message}");
    assert!(message.contains("listen.allow_insecure = true"), "{message}");

    let hash = "0".repeat(64);
    let tokens = format!("[[auth.tokens]]\nname = \"a\"\nrole = \"viewer\"\nsha256 = \"{hash}\"");
    refusal(&format!("{open}{tokens}"), &[]);
    let tls = "tls_certificate_file = \"c.pem\"\ntls_key_file = \"k.pem\"\n";
    from(&format!("{open}{tls}{tokens}"), &[], &[]).expect("tokens and TLS are configured");
    from(&format!("{open}allow_insecure = true"), &[], &[]).expect("allowed in as many words");

    assert!(refusal("[listen]\ntls_key_file = \"k.pem\"", &[]).contains("or neither"));
}

#[test]
fn tokens_are_checked_and_never_printed() {
    let message = refusal("[[auth.tokens]]\nname = \"a\"\nrole = \"viewer\"\nsha256 = \"my-secret\"", &[]);
    assert!(message.contains("token \"a\" with a sha256 of 9 characters"), "{message}");
    assert!(!message.contains("my-secret"), "{message}");
    let message = refusal("[[auth.tokens]]\nname = \"a\"\nrole = \"root\"\nsha256 = \"\"", &[]);
    assert!(message.contains("expected one of ingest, viewer, editor, admin"), "{message}");
}

#[test]
fn the_manual_has_every_key_and_default() {
    let manual = include_str!("../../../docs/configuration.md");
    assert!(manual.contains(&format!("```toml\n{}```", crate::DEFAULT_TOML)), "`make docs` copies the defaults");
}

#[test]
fn retention_rules_say_what_they_lack() {
    let rule = |rest: &str| format!("[[retention.rules]]\nkeep = \"3d\"\n{rest}");
    let config = from(&rule("table = \"logs\"\nseverity_below = \"info\"\nattributes = { a = \"b\" }"), &[], &[]);
    let config = config.expect("a rule with conditions");
    assert_eq!(config.retention.rules[0].severity_below, Some(crate::Severity::Info));
    for (wrong, expected) in [
        ("table = \"logs\"", "at least one of service, metric, severity_below, attributes"),
        ("table = \"logs\"\nmetric = \"a\"", "metric only with table = \"metrics\""),
        ("table = \"spans\"\nseverity_below = \"info\"", "severity_below only with table = \"logs\""),
        ("table = \"metrics\"\nattributes = { a = \"b\" }", "attributes only with"),
        ("table = \"metric\"\nservice = \"a\"", "expected one of logs, spans, metrics"),
        ("table = \"logs\"\nservices = \"a\"", "unknown"),
    ] {
        let message = refusal(&rule(wrong), &[]);
        assert!(message.contains(expected) && message.contains("retention.rules"), "{wrong}: {message}");
    }
}
