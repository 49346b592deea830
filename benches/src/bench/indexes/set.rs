use serde::Serialize;

/// The optional indexes that the table has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IndexSet {
    None,
    Status,
    User,
    Both,
}

impl IndexSet {
    pub const ALL: [Self; 4] = [Self::None, Self::Status, Self::User, Self::Both];

    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Status => "(status, created_at)",
            Self::User => "(user_id, created_at)",
            Self::Both => "both",
        }
    }

    /// The names that `orderdb index` has for them.
    pub fn indexes(self) -> &'static [&'static str] {
        match self {
            Self::None => &[],
            Self::Status => &["orders_by_status"],
            Self::User => &["orders_by_user"],
            Self::Both => &["orders_by_status", "orders_by_user"],
        }
    }
}
