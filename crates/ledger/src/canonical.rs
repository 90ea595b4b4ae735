//! Canonical JSON: RFC 8785 for texts, integers, booleans, arrays and objects. No fractions, so no questions about them.
//!
//! What is committed to, signed or compared byte for byte is written by [`to_string`] and read by [`parse`]. Names of fields are ASCII.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Integers beyond this are not the same in every reader of JSON.
const MAX_INTEGER: u64 = (1 << 53) - 1;

/// Writes `value` in the one way. `None` if it holds a fraction or an integer above 2^53 - 1.
pub fn to_string(value: &impl Serialize) -> Option<String> {
    let value = serde_json::to_value(value).ok()?;
    let mut text = String::new();
    write(&mut text, &value)?;
    Some(text)
}

/// Reads what [`to_string`] wrote. `None` unless it is written in the one way, with no unknown and no doubled field.
pub fn parse<T: Serialize + DeserializeOwned>(text: &str) -> Option<T> {
    let value: T = serde_json::from_str(text).ok()?;
    (to_string(&value)? == text).then_some(value)
}

fn write(text: &mut String, value: &Value) -> Option<()> {
    match value {
        Value::Null => text.push_str("null"),
        Value::Bool(true) => text.push_str("true"),
        Value::Bool(false) => text.push_str("false"),
        Value::Number(number) => {
            let number = number.as_u64().filter(|number| *number <= MAX_INTEGER)?;
            text.push_str(&number.to_string());
        }
        // serde_json escapes what RFC 8785 §3.2.2.2 says, and in its way.
        Value::String(string) => text.push_str(&serde_json::to_string(string).ok()?),
        Value::Array(values) => {
            text.push('[');
            for (i, value) in values.iter().enumerate() {
                if i > 0 {
                    text.push(',');
                }
                write(text, value)?;
            }
            text.push(']');
        }
        Value::Object(fields) => {
            // Our names are ASCII: their order by bytes is that by UTF-16, which RFC 8785 asks for.
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_unstable_by_key(|(name, _)| name.as_str());
            text.push('{');
            for (i, (name, value)) in fields.into_iter().enumerate() {
                if i > 0 {
                    text.push(',');
                }
                text.push_str(&serde_json::to_string(name).ok()?);
                text.push(':');
                write(text, value)?;
            }
            text.push('}');
        }
    }
    Some(())
}
