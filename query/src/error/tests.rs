use super::*;

#[test]
fn near_names() {
    assert!(is_near("service_name", "servicename"));
    assert!(is_near("severity_text", "severity"));
    assert!(!is_near("body", "timestamp"));
    assert_eq!(distance("kitten", "sitting"), 3);
}

#[test]
fn no_backtrace_and_no_advice() {
    assert_eq!(one_line("Execution error: x.\nThis issue was likely caused by a bug"), "x");
    assert_eq!(one_line("a\n\nbacktrace: 0: main"), "a");
}
