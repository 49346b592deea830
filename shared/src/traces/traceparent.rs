//! The context of a span as the value of a header, as W3C Trace Context specifies it:
//! `00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01`, which is the version, the trace, the span, and whether
//! the trace is sampled.

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

/// Name of the header with the context of a span.
pub const TRACEPARENT_HEADER: &str = "traceparent";

/// Length of a value of version 00. Later versions may have more after it.
const LENGTH: usize = 55;

/// The value of the header.
pub fn encode_traceparent(context: &SpanContext) -> String {
    format!("00-{}-{}-{:02x}", context.trace_id(), context.span_id(), context.trace_flags())
}

/// The context that a value has, as the context of another program; `None` for a value that has another form.
pub fn decode_traceparent(value: &[u8]) -> Option<SpanContext> {
    let (fields, rest) = std::str::from_utf8(value).ok()?.split_at_checked(LENGTH)?;
    let mut fields = fields.split('-');
    let mut next = |digits| hex(fields.next()?, digits);
    let (version, trace, span, flags) = (next(2)?, next(32)?, next(16)?, next(2)?);
    let is_complete = rest.is_empty() || version > 0 && rest.starts_with('-');
    if version == 0xff || !is_complete {
        return None;
    }
    let flags = TraceFlags::new(u8::try_from(flags).ok()?) & TraceFlags::SAMPLED;
    let span = SpanId::from(u64::try_from(span).ok()?);
    let context = SpanContext::new(TraceId::from(trace), span, flags, true, TraceState::NONE);
    context.is_valid().then_some(context)
}

/// A number of exactly so many hexadecimal digits, in lower case.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let has_form = text.len() == digits && text.bytes().all(is_hex);
    has_form.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const VALUE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn decoded(value: &str) -> Option<SpanContext> {
        decode_traceparent(value.as_bytes())
    }

    #[test]
    fn the_example_of_the_specification_is_read() {
        let context = decoded(VALUE).unwrap();
        assert_eq!(context.trace_id().to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(context.span_id().to_string(), "b7ad6b7169203331");
        assert!(context.is_sampled() && context.is_remote());
        assert!(!decoded(&VALUE.replace("-01", "-00")).unwrap().is_sampled());
        // The other flags have no meaning yet, and a later version may have more fields.
        assert!(decoded(&VALUE.replace("-01", "-03")).unwrap().is_sampled());
        assert_eq!(decoded(&format!("{}-more", VALUE.replacen("00", "01", 1))), Some(context));
    }

    #[test]
    fn a_value_of_another_form_is_ignored() {
        let zeros = |digits: usize| "0".repeat(digits);
        for value in [
            "",
            "00",
            &VALUE[..54],
            &format!("{VALUE}-"),
            &format!("{VALUE}0"),
            &VALUE.replacen("00", "ff", 1),
            &VALUE.replacen("00", "0x", 1),
            &VALUE.to_uppercase(),
            &VALUE.replace('-', "_"),
            &VALUE.replace("0af", "+af"),
            &VALUE.replace("0af7651916cd43dd8448eb211c80319c", &zeros(32)),
            &VALUE.replace("b7ad6b7169203331", &zeros(16)),
            &VALUE.replace("9c-b7", "9-cb7"),
            &VALUE.replace("9c-b7", "9가b7"),
        ] {
            assert_eq!(decoded(value), None, "{value}");
        }
        assert_eq!(decode_traceparent(b"\xff"), None);
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(trace in 1..=u128::MAX, span in 1..=u64::MAX, is_sampled: bool) {
            let flags = TraceFlags::default().with_sampled(is_sampled);
            let (trace, span) = (TraceId::from(trace), SpanId::from(span));
            let context = SpanContext::new(trace, span, flags, true, TraceState::NONE);
            prop_assert_eq!(decode_traceparent(encode_traceparent(&context).as_bytes()), Some(context));
        }

        #[test]
        fn arbitrary_bytes_never_panic(value: Vec<u8>, text in "00-[0-9a-f가-힣-]{40,60}") {
            let _ = (decode_traceparent(&value), decode_traceparent(text.as_bytes()));
        }
    }
}
