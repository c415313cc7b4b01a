//! Figures, their targets, and how they are judged and shown.

use serde::{Serialize, Serializer};

use super::facts::{Facts, load};

/// What a figure shall reach.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Target {
    /// At most this many times the baseline.
    Factor(f64),
    /// At most this much more than the baseline, in the figure's unit.
    Plus(f64),
    /// At most this much.
    AtMost(f64),
}

/// Something that was measured once per round, perhaps beside a baseline.
#[derive(Debug, Serialize)]
pub(super) struct Figure {
    pub(super) name: &'static str,
    pub(super) unit: &'static str,
    /// One value per round.
    pub(super) product: Vec<f64>,
    /// What it is compared with, and that one's values of the same rounds.
    #[serde(serialize_with = "named_values")]
    pub(super) baseline: Option<(&'static str, Vec<f64>)>,
    pub(super) target: Option<Target>,
}

/// All figures of a run.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    facts: Facts,
    rows: Vec<Row>,
}

/// A figure and what became of it.
#[derive(Debug, Serialize)]
struct Row {
    #[serde(flatten)]
    figure: Figure,
    product_median: f64,
    baseline_median: Option<f64>,
    /// Median of the rounds' ratios.
    ratio: Option<f64>,
    met: Option<bool>,
}

impl Report {
    pub(super) fn new(facts: Facts) -> Self {
        Self { facts, rows: Vec::new() }
    }

    pub(super) fn add(&mut self, figure: Figure) {
        self.rows.push(Row::of(figure));
    }

    /// Prints a table.
    pub(super) fn print(&self) {
        let facts = &self.facts;
        let now = load().unwrap_or_default();
        let loads = format!("load {} at the start, {now} at the end", facts.load);
        println!("{} cores, {}; {loads}", facts.cores, facts.processor);
        match &facts.machines {
            Some(machines) => {
                let (monitor, accelerator) = (&machines.monitor, machines.accelerator);
                println!("{monitor}, {accelerator}; host {}", facts.host_kernel);
                println!("guest {}, {}", machines.guest_kernel, machines.shape);
            }
            None => println!("host {}", facts.host_kernel),
        }
        println!();
        println!(
            "{:<37} {:>10} {:>14} {:>6}  {:<8} verdict",
            "figure", "product", "baseline", "ratio", "target"
        );
        for row in &self.rows {
            println!("{}", row.line());
        }
    }
}

impl Row {
    fn of(figure: Figure) -> Self {
        let product_median = median(&figure.product);
        let baseline = figure.baseline.as_ref().map(|(_, values)| values.as_slice());
        let paired = |of: fn(f64, f64) -> f64| {
            let pairs = figure.product.iter().zip(baseline.unwrap_or_default());
            median(&pairs.map(|(product, baseline)| of(*product, *baseline)).collect::<Vec<_>>())
        };
        let ratio = baseline.map(|_| paired(|product, baseline| product / baseline));
        let met = figure.target.map(|target| match target {
            Target::Factor(factor) => ratio.is_some_and(|ratio| ratio <= factor),
            Target::Plus(more) => paired(|product, baseline| product - baseline) <= more,
            Target::AtMost(most) => product_median <= most,
        });
        let baseline_median = baseline.map(median);
        Self { figure, product_median, baseline_median, ratio, met }
    }

    fn line(&self) -> String {
        let Figure { name, unit, baseline, target, .. } = &self.figure;
        let product = format!("{:.1} {unit}", self.product_median);
        let baseline = match (baseline, self.baseline_median) {
            (Some((what, _)), Some(value)) => format!("{what} {value:.1}"),
            _ => String::new(),
        };
        let ratio = self.ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}"));
        let target = match target {
            Some(Target::Factor(factor)) => format!("≤ {factor} ×"),
            Some(Target::Plus(more)) => format!("≤ + {more}"),
            Some(Target::AtMost(most)) => format!("≤ {most}"),
            None => String::new(),
        };
        let verdict = match self.met {
            Some(true) => "met",
            Some(false) => "NOT MET",
            None => "",
        };
        let line =
            format!("{name:<37} {product:>10} {baseline:>14} {ratio:>6}  {target:<8} {verdict}");
        line.trim_end().to_owned()
    }
}

/// The middle of some values; not a number if there are none.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match (sorted.len() / 2, sorted.len() % 2) {
        (_, _) if sorted.is_empty() => f64::NAN,
        (half, 1) => sorted[half],
        (half, _) => f64::midpoint(sorted[half - 1], sorted[half]),
    }
}

fn named_values<S: Serializer>(
    baseline: &Option<(&'static str, Vec<f64>)>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Named<'a> {
        what: &'a str,
        values: &'a [f64],
    }
    baseline.as_ref().map(|(what, values)| Named { what, values }).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(product: &[f64], baseline: &[f64], target: Target) -> Row {
        let baseline = Some(("floor", baseline.to_vec()));
        let product = product.to_vec();
        Row::of(Figure { name: "x", unit: "ms", product, baseline, target: Some(target) })
    }

    #[test]
    fn a_target_is_judged_by_pairs_and_not_by_medians() {
        // The machine was three times slower in the last two rounds.
        let (product, floor) = ([14.0, 42.0, 42.0], [10.0, 10.0, 30.0]);
        let judged = row(&product, &floor, Target::Factor(1.5));
        assert_eq!(judged.ratio, Some(1.4));
        assert_eq!(judged.met, Some(true));
        assert_eq!(row(&product, &floor, Target::Plus(11.0)).met, Some(false));
        assert_eq!(row(&product, &floor, Target::AtMost(42.0)).met, Some(true));
    }

    #[test]
    fn the_median_of_an_even_number_is_between() {
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]).to_bits(), 2.5_f64.to_bits());
        assert!(median(&[]).is_nan());
    }
}
