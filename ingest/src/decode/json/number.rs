//! Numbers that JSON senders write as text, or integers that they write with a fraction of zero.

/// The integer that the number is, when it is one.
pub(super) fn whole(value: f64) -> Option<i128> {
    // Beyond 2^64 every double is an integer, and out of range of every field.
    (value.fract() == 0.0 && value.abs() <= 2f64.powi(64)).then_some(value as i128)
}

/// An integer written as text; exponents are allowed as long as it stays one.
pub(super) fn parse_integer(text: &str) -> Option<i128> {
    text.parse().ok().or_else(|| text.parse().ok().and_then(whole))
}

/// A number written as text. The protobuf JSON mapping spells the special values exactly so.
pub(super) fn parse_double(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ => text.parse().ok().filter(|value: &f64| value.is_finite()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_may_be_text_and_carry_an_exponent() {
        assert_eq!(parse_integer("18446744073709551615"), Some(u64::MAX.into()));
        assert_eq!(parse_integer("-9223372036854775808"), Some(i64::MIN.into()));
        assert_eq!(parse_integer("1e3"), Some(1000));
        assert_eq!(parse_integer("1.5"), None);
        assert_eq!(parse_integer("NaN"), None);
        assert_eq!(parse_integer(""), None);
    }

    #[test]
    fn doubles_spell_special_values_one_way() {
        assert!(parse_double("NaN").is_some_and(f64::is_nan));
        assert_eq!(parse_double("-Infinity"), Some(f64::NEG_INFINITY));
        assert_eq!(parse_double("inf"), None);
        assert_eq!(parse_double("-0"), Some(-0.0));
    }
}
