//! Operations, their handlers, and the table that faces are derived from.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use clap::{ArgMatches, Command};
use schemars::{JsonSchema, Schema, SchemaGenerator, schema_for};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::bounds::violation;
use crate::call::{BoxFuture, Call, RawCall, Tell};
use crate::error::{ErrorKind, OpError};
use crate::ids::has_ids;
use crate::present::{Present, Screen};

/// One thing that the product can do. The request struct *is* the operation.
pub trait Operation:
    Serialize + DeserializeOwned + JsonSchema + clap::Args + Send + 'static
{
    /// What success returns.
    type Output: Serialize + DeserializeOwned + JsonSchema + Present + Send + 'static;
    /// What may be told before the end; [`NoEvents`] for most.
    type Event: Serialize + DeserializeOwned + JsonSchema + Present + Send + 'static;
    /// Stable: `env.list` is the command `hotcell env list` and the tool
    /// `env_list`; a name without a dot is a command of its own.
    const NAME: &'static str;
    /// What it does to the world.
    const EFFECT: Effect;
    /// The same request, as a command line and as JSON.
    const EXAMPLES: &'static [Example];
}

/// What an operation does to the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Nothing.
    Reads,
    /// It adds or changes, and loses nothing.
    Changes,
    /// It adds or changes something on the host, outside of Hotcell.
    Crosses,
    /// It removes something that may be somebody's work.
    Destroys,
}

/// One request, written twice.
#[derive(Debug, Clone, Copy)]
pub struct Example {
    /// The words behind the command's name.
    pub argv: &'static str,
    /// The request as JSON.
    pub json: &'static str,
}

/// Whoever carries an operation out.
pub trait Handler<O: Operation>: Send + Sync {
    /// Carries `operation` out.
    fn handle(
        &self,
        operation: O,
        call: &mut Call<O::Event>,
    ) -> impl Future<Output = Result<O::Output, OpError>> + Send;
}

/// The event type of operations that only answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum NoEvents {}

impl Present for NoEvents {
    fn present(&self, _: &mut Screen) {
        match *self {}
    }
}

impl JsonSchema for NoEvents {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "NoEvents".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        false.into()
    }
}

/// Carries a request out that is still JSON. It may capture: a row of a part is a row
/// of the whole ([`OpSpec::within`]).
pub type CarryOut<H> = Arc<dyn for<'a> Fn(&'a H, Value, RawCall) -> Answer<'a> + Send + Sync>;

/// What a request comes to, later.
pub type Answer<'a> = BoxFuture<'a, Result<Box<dyn Tell>, OpError>>;

/// A row of the table: an operation whose types a face does not know.
pub struct OpSpec<H> {
    /// See [`Operation::NAME`].
    pub name: &'static str,
    /// See [`Operation::EFFECT`].
    pub effect: Effect,
    /// See [`Operation::EXAMPLES`].
    pub examples: &'static [Example],
    /// Schema of the request.
    pub input_schema: fn() -> Value,
    /// Schema of the events.
    pub event_schema: fn() -> Value,
    /// Schema of the output.
    pub output_schema: fn() -> Value,
    /// Whether its outputs have ids, see the module `ids`.
    pub has_ids: bool,
    /// Adds the request's flags to a command.
    pub augment: fn(Command) -> Command,
    /// Reads the request from a command line, as JSON.
    pub parse: fn(&ArgMatches) -> Result<Value, clap::Error>,
    /// The request with all defaults filled in.
    pub canonical: fn(Value) -> Result<Value, OpError>,
    /// Carries the request out.
    pub call: CarryOut<H>,
}

impl<H> fmt::Debug for OpSpec<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpSpec").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<H> OpSpec<H> {
    /// The row of `O`.
    #[must_use]
    pub fn of<O: Operation>() -> Self
    where
        H: Handler<O>,
    {
        Self {
            name: O::NAME,
            effect: O::EFFECT,
            examples: O::EXAMPLES,
            input_schema: || schema_for!(O).to_value(),
            event_schema: || schema_for!(O::Event).to_value(),
            output_schema: || schema_for!(O::Output).to_value(),
            has_ids: has_ids(&schema_for!(O::Output).to_value()),
            augment: O::augment_args,
            parse: |matches| O::from_arg_matches(matches).map(|request| encode(&request)),
            canonical: |raw| decode::<O>(raw).map(|request| encode(&request)),
            call: Arc::new(|handler, raw, call| carried_out::<O, H>(handler, raw, call)),
        }
    }

    /// The same row in the table of something that this handler is a part of.
    #[must_use]
    pub fn within<W: 'static>(self, part: fn(&W) -> &H) -> OpSpec<W>
    where
        H: 'static,
    {
        let Self { name, effect, examples, input_schema, event_schema, output_schema, .. } = self;
        let Self { has_ids, augment, parse, canonical, call, .. } = self;
        let call: CarryOut<W> = Arc::new(move |whole, raw, given| call(part(whole), raw, given));
        OpSpec {
            name,
            effect,
            examples,
            input_schema,
            event_schema,
            output_schema,
            has_ids,
            augment,
            parse,
            canonical,
            call,
        }
    }

    /// The first line of the operation's documentation.
    #[must_use]
    pub fn summary(&self) -> String {
        let schema = (self.input_schema)();
        let text = schema.get("description").and_then(Value::as_str).unwrap_or_default();
        text.lines().next().unwrap_or_default().to_owned()
    }
}

fn carried_out<O: Operation, H: Handler<O>>(handler: &H, raw: Value, call: RawCall) -> Answer<'_> {
    Box::pin(async move {
        let request = decode::<O>(raw)?;
        let output = handler.handle(request, &mut call.typed()).await?;
        Ok(Box::new(output) as Box<dyn Tell>)
    })
}

fn decode<O: Operation>(raw: Value) -> Result<O, OpError> {
    let out_of_bounds = violation(&schema_for!(O).to_value(), &raw);
    let request = serde_json::from_value(raw)
        .map_err(|error| OpError::new(ErrorKind::InvalidRequest, &error))?;
    match out_of_bounds {
        None => Ok(request),
        Some(violation) => Err(OpError::plain(ErrorKind::InvalidRequest, violation)),
    }
}

fn encode<T: Serialize>(data: &T) -> Value {
    serde_json::to_value(data).expect("requests are plain data")
}

/// Declares the table of a product's operations.
///
/// Adding an operation is one line here; forgetting its handler is then a
/// compile error.
#[macro_export]
macro_rules! operations {
    ($(#[$meta:meta])* $handlers:ident: $($operation:ty),+ $(,)?) => {
        $(#[$meta])*
        pub trait $handlers: $($crate::Handler<$operation> +)+ Sized + 'static {}
        impl<T: $($crate::Handler<$operation> +)+ Sized + 'static> $handlers for T {}

        /// The table, in the order in which the operations are documented.
        #[must_use]
        pub fn operations<H: $handlers>() -> ::std::vec::Vec<$crate::OpSpec<H>> {
            ::std::vec![$($crate::OpSpec::of::<$operation>()),+]
        }
    };
}

#[cfg(test)]
mod tests;
