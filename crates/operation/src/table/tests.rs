use serde_json::json;

use super::*;

/// Count up
#[derive(Serialize, Deserialize, JsonSchema, clap::Args)]
struct Count {
    /// By how much
    by: u32,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Counted {
    sum: u32,
}

impl Present for Counted {
    fn present(&self, screen: &mut Screen) {
        screen.line(self.sum.to_string());
    }
}

impl Operation for Count {
    type Output = Counted;
    type Event = NoEvents;
    const NAME: &'static str = "count";
    const EFFECT: Effect = Effect::Reads;
    const EXAMPLES: &'static [Example] = &[Example { argv: "2", json: r#"{"by": 2}"# }];
}

struct Part(u32);

struct Whole {
    first: Part,
    second: Part,
}

impl Handler<Count> for Part {
    async fn handle(&self, count: Count, _: &mut Call<NoEvents>) -> Result<Counted, OpError> {
        Ok(Counted { sum: self.0 + count.by })
    }
}

#[tokio::test]
async fn a_row_of_a_part_is_a_row_of_the_whole() {
    let whole = Whole { first: Part(1), second: Part(10) };
    let row = |part: fn(&Whole) -> &Part| OpSpec::<Part>::of::<Count>().within(part);
    let table = [row(|whole| &whole.first), row(|whole| &whole.second)];
    let mut sums = Vec::new();
    for row in &table {
        let answer = (row.call)(&whole, json!({ "by": 2 }), RawCall::quiet()).await;
        sums.push(answer.unwrap_or_else(|error| panic!("{error}")).json());
        assert_eq!((row.name, row.summary().as_str()), ("count", "Count up"));
    }
    assert_eq!(sums, [json!({ "sum": 3 }), json!({ "sum": 12 })]);
    let refused = (table[0].call)(&whole, json!({ "by": "x" }), RawCall::quiet()).await;
    assert_eq!(refused.err().map(|error| error.kind), Some(ErrorKind::InvalidRequest));
}
