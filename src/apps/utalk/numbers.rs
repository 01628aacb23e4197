//! Numbers and the ids of conversations made of them: `conv_<customer>_<ours>`. Pure.

/// A number as ids of conversations have it: `whatsapp:` off, and nothing but `+` and digits. What has other characters is an id of
/// some platform and stays.
pub(super) fn plain(address: &str) -> String {
    let address = address.trim();
    let address = address.strip_prefix("whatsapp:").unwrap_or(address);
    let is_written = |char: char| char.is_ascii_digit() || " +-().".contains(char);
    if !address.chars().all(is_written) {
        return address.to_owned();
    }
    address.chars().filter(|char| char.is_ascii_digit() || *char == '+').collect()
}

/// With the `+` that some providers leave out.
pub(super) fn international(address: &str) -> String {
    let number = plain(address);
    match !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) {
        true => format!("+{number}"),
        false => number,
    }
}

/// Whether two spellings are of one number.
pub(super) fn same(one: &str, other: &str) -> bool {
    international(one) == international(other)
}

/// The digits of a customer's number, if a provider can call it: 7 to 15 of them.
pub(super) fn callable(number: &str) -> Option<&str> {
    let digits = number.strip_prefix('+').unwrap_or(number);
    let is_number = (CALLABLE_DIGITS_MIN..=CALLABLE_DIGITS_MAX).contains(&digits.len());
    (is_number && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(digits)
}

/// The id of the conversation between a customer and one of ours; `None` where it would be none.
pub(super) fn conversation(customer: &str, ours: &str) -> Option<String> {
    let fits = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    };
    let id = format!("conv_{customer}_{ours}");
    (fits(customer) && fits(ours) && id.len() <= CONVERSATION_ID_BYTES_MAX).then_some(id)
}

const CALLABLE_DIGITS_MIN: usize = 7;
const CALLABLE_DIGITS_MAX: usize = 15;
/// `conv_` and 120 characters.
const CONVERSATION_ID_BYTES_MAX: usize = 125;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_one_however_it_is_written() {
        for (written, number) in [
            ("whatsapp:+1234567890", "+1234567890"),
            ("+1 (234) 567-890", "+1234567890"),
            ("1234567890", "+1234567890"),
            (" +1.234 ", "+1234"),
            ("whatsapp:", ""),
            ("messenger:12", "messenger:12"),
            ("user_7", "user_7"),
        ] {
            assert_eq!(international(written), number, "{written}");
        }
        assert!(same("whatsapp:+15550783881", "1 555-078-3881") && !same("+1", "+2"));
        assert_eq!(plain("100200300"), "100200300", "the id of a page has no plus");
    }

    #[test]
    fn a_customer_has_seven_to_fifteen_digits() {
        for (number, expected) in [
            ("+1234567", Some("1234567")),
            ("123456789012345", Some("123456789012345")),
            ("+123456", None),
            ("+1234567890123456", None),
            ("+12345678x", None),
            ("++1234567", None),
            ("", None),
        ] {
            assert_eq!(callable(number), expected, "{number}");
        }
    }

    #[test]
    fn an_id_has_the_customer_first() {
        assert_eq!(conversation("+123", "+456").as_deref(), Some("conv_+123_+456"));
        for (customer, ours) in [("", "+1"), ("+1", ""), ("a:b", "+1"), ("a_b", "+1"), ("é", "+1"), ("a b", "+1")] {
            assert_eq!(conversation(customer, ours), None, "{customer} {ours}");
        }
        assert!(conversation(&"1".repeat(118), "1").is_some());
        assert_eq!(conversation(&"1".repeat(119), "1"), None);
    }
}
