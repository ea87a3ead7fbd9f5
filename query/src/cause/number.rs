//! Pure: the few statistics that everything here is measured with.

/// The value below which the share `q` of `values` lies; 0 without values. Sorts them.
pub(crate) fn quantile(values: &mut [f64], q: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    quantile_of_sorted(values, q)
}

/// As [`quantile`], of values that are sorted.
pub(crate) fn quantile_of_sorted(values: &[f64], q: f64) -> f64 {
    let Some(last) = values.len().checked_sub(1) else { return 0.0 };
    let place = q * last as f64;
    let below = values[place.floor() as usize];
    let above = values[place.ceil() as usize];
    below + (above - below) * (place - place.floor())
}

/// Likelihood ratio of two Poisson rates: `seen` of `of`, before and after. 0 where either was never looked at.
pub(crate) fn rate_change(before: (u32, u32), after: (u32, u32)) -> f64 {
    let (k1, n1, k2, n2) = (f64::from(before.0), f64::from(before.1), f64::from(after.0), f64::from(after.1));
    if n1 <= 0.0 || n2 <= 0.0 || k1 + k2 <= 0.0 {
        return 0.0;
    }
    let rate = (k1 + k2) / (n1 + n2);
    let part = |k: f64, n: f64| if k > 0.0 { k * (k / (n * rate)).ln() } else { 0.0 };
    (2.0 * (part(k1, n1) + part(k2, n2))).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_neighbours() {
        assert_eq!(quantile(&mut [], 0.5), 0.0);
        assert_eq!(quantile(&mut [3.0, 1.0, 2.0], 0.5), 2.0);
        assert_eq!(quantile(&mut [1.0, 2.0], 0.9), 1.9);
    }

    #[test]
    fn equal_rates_have_not_changed() {
        assert_eq!(rate_change((5, 10), (50, 100)), 0.0);
        assert_eq!(rate_change((0, 0), (5, 10)), 0.0);
        assert!(rate_change((0, 50), (25, 50)) > rate_change((20, 50), (25, 50)));
    }
}
