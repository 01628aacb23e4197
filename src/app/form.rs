//! What comes before the file of an upload.

/// The form of an upload up to its file, as it was sent: what its home decides by.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Form {
    /// Names and values, in order.
    pub fields: Vec<(String, String)>,
    /// The name of the field that the file is.
    pub part: String,
    /// What its sender calls the file: no path of ours.
    pub file_name: String,
    /// What its sender says it is, such as `image/png`; may be empty, may be a lie.
    pub declared: String,
}

impl Form {
    /// The value of a field; the last of a name.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().rfind(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Bytes that it holds.
    pub fn size_bytes(&self) -> usize {
        let fields: usize = self.fields.iter().map(|(name, value)| name.len() + value.len()).sum();
        fields + self.part.len() + self.file_name.len() + self.declared.len()
    }
}
