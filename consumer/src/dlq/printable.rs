//! Text of a record on a terminal or in a log: anyone who writes to the topic chooses it.

use std::fmt::Write;

/// `text` with its control characters escaped, such as `\u{1b}`: a terminal would act on them, and a line break would
/// forge a line.
pub fn printable(text: &str) -> String {
    escape(text, |_| false)
}

/// The same for a text of several lines: line breaks and tabs stay.
pub fn printable_lines(text: &str) -> String {
    escape(text, |c| matches!(c, '\n' | '\t'))
}

fn escape(text: &str, is_kept: impl Fn(char) -> bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        let is_harmful = c.is_control() || is_bidirectional_control(c);
        if is_harmful && !is_kept(c) {
            let _ = write!(escaped, "{}", c.escape_default());
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// Characters that change the order in which a terminal shows the text around them.
fn is_bidirectional_control(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_sees_no_control_character() {
        let hostile = "주문 \"1\"\u{1b}[2J\u{9b}31m\r\n\u{7}\u{7f}\u{202e}\0";
        let shown = printable(hostile);
        assert_eq!(shown, r#"주문 "1"\u{1b}[2J\u{9b}31m\r\n\u{7}\u{7f}\u{202e}\u{0}"#);
        assert_eq!(printable_lines("{\n\t\"a\": 1\u{1b}\r\n}"), "{\n\t\"a\": 1\\u{1b}\\r\n}");
    }
}
