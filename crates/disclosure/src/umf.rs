//! A release as XML in the shape of the Universal Message Format (Regulation (EU) 2019/818 Art. 38): for systems that take UMF.
//!
//! The shape, not the schema: element names follow UMF's person and case objects, and the national profile maps them on. Made from the
//! decision alone, in one way, so that it can be compared byte for byte.

use std::fmt::Write;

use crate::codes::{Field, FieldClass, Onward};
use crate::decision::Decision;
use crate::text::markup;

/// Writes the released fields of a decision.
pub fn write(decision: &Decision) -> String {
    let mut xml =
        String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Release xmlns=\"urn:concordat:umf:1\">\n");
    header(&mut xml, decision);
    for (class, element) in [
        (FieldClass::Identity, "Person"),
        (FieldClass::Biometric, "Biometrics"),
        (FieldClass::Case, "CaseInformation"),
        (FieldClass::Listed, "Additional"),
    ] {
        fields(&mut xml, decision, class, element);
    }
    xml.push_str("</Release>\n");
    xml
}

fn header(xml: &mut String, decision: &Decision) {
    let marks = &decision.marks;
    xml.push_str("  <Header>\n");
    line(xml, "CaseId", &decision.case.to_string());
    line(xml, "RequestDigest", &decision.request.to_string());
    line(xml, "Recipient", decision.recipient.as_str());
    line(xml, "HandlingCode", &code(&marks.handling));
    if let Some(restriction) = &marks.restriction {
        line(xml, "HandlingRestriction", restriction.as_str());
    }
    line(xml, "SourceEvaluation", &code(&marks.source));
    line(xml, "InformationEvaluation", &code(&marks.information));
    line(xml, "Classification", &code(&marks.classification));
    line(xml, "RetainUntil", &marks.retain_until.to_string());
    line(xml, "Purpose", marks.purpose.as_str());
    if let Onward::To(agencies) = &marks.onward {
        for agency in agencies {
            line(xml, "OnwardRecipient", agency.as_str());
        }
    }
    for condition in &decision.conditions {
        line(xml, "Condition", condition.as_str());
    }
    xml.push_str("  </Header>\n");
}

fn fields(xml: &mut String, decision: &Decision, class: FieldClass, element: &str) {
    let mut of_class = decision
        .released
        .iter()
        .filter(|released| released.field.class() == class)
        .peekable();
    if of_class.peek().is_none() {
        return;
    }
    // Writing into a String cannot fail.
    let _ = writeln!(xml, "  <{element}>");
    for released in of_class {
        for value in &released.values {
            match &released.field {
                Field::Listed(_) => {
                    let name = markup(released.field.name());
                    let _ = writeln!(
                        xml,
                        "    <Field name=\"{name}\">{}</Field>",
                        markup(value.as_str())
                    );
                }
                core => line(xml, core.name(), value.as_str()),
            }
        }
    }
    let _ = writeln!(xml, "  </{element}>");
}

fn line(xml: &mut String, element: &str, value: &str) {
    let _ = writeln!(xml, "    <{element}>{}</{element}>", markup(value));
}

/// A code as it is written in JSON.
fn code(code: &impl serde::Serialize) -> String {
    let value = serde_json::to_value(code).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}
