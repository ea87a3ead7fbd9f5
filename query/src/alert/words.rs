//! What alerts and incidents are called, in each language from one structure.

use serde::{Deserialize, Serialize};

use super::state::Alert;

/// The same sentence in each language.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Texts {
    /// English.
    pub en: String,
    /// Chinese (simplified).
    pub zh: String,
}

impl Texts {
    /// Both at once.
    pub fn new(en: impl Into<String>, zh: impl Into<String>) -> Self {
        Self { en: en.into(), zh: zh.into() }
    }
}

/// What an alert says in one sentence.
pub fn alert_summary(alert: &Alert) -> Texts {
    let Alert { display_name, factor, .. } = alert;
    let burn = alert.burn_long.unwrap_or(*factor);
    let (short, long) = (length(alert.short_window_seconds), length(alert.long_window_seconds));
    let target = percent(alert.target_ratio);
    Texts::new(
        format!(
            "{display_name}: the error budget of {target} is spent {burn:.1} times too fast over {long} and {short} (limit {factor:.1})"
        ),
        format!(
            "{display_name}:{target} 目标的错误预算在 {long} 与 {short} 窗口内的消耗速度为 {burn:.1} 倍(上限 {factor:.1} 倍)"
        ),
    )
}

/// What an incident is called.
pub fn incident_title(alert: &Alert) -> Texts {
    let place = match &alert.operation {
        Some(operation) => format!("{} {operation}", alert.service),
        None => alert.service.clone(),
    };
    if alert.bad == "errors" {
        Texts::new(format!("{place}: too many errors"), format!("{place}:错误过多"))
    } else {
        Texts::new(format!("{place}: too slow"), format!("{place}:响应过慢"))
    }
}

/// `99.9 %`, without noise of binary fractions.
pub fn percent(ratio: f64) -> String {
    let rounded = (ratio * 1e8).round() / 1e6;
    format!("{rounded} %")
}

/// `5m`, `1h`, `3d`
pub fn length(seconds: u64) -> String {
    match seconds {
        s if s > 0 && s.is_multiple_of(86_400) => format!("{}d", s / 86_400),
        s if s > 0 && s.is_multiple_of(3600) => format!("{}h", s / 3600),
        s if s > 0 && s.is_multiple_of(60) => format!("{}m", s / 60),
        s => format!("{s}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_people_do() {
        assert_eq!(percent(0.999), "99.9 %");
        assert_eq!(percent(0.9995), "99.95 %");
        assert_eq!(percent(0.0), "0 %");
        assert_eq!([300, 3600, 259_200, 45].map(length), ["5m", "1h", "3d", "45s"]);
    }
}
