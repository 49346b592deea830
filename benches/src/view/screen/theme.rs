//! The styles of the screen. Without colours, differences are bold, dim or reversed.

use ratatui::style::{Color, Modifier, Style};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    Colored,
    Plain,
}

impl Theme {
    /// Without colours when `NO_COLOR` is set and not empty (<https://no-color.org>).
    pub fn from_environment() -> Self {
        if std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) { Self::Plain } else { Self::Colored }
    }

    pub fn title(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// Labels, units, rules.
    pub fn label(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    pub fn value(self) -> Style {
        Style::new()
    }

    pub fn graph(self) -> Style {
        self.colored(Color::Cyan, Modifier::empty())
    }

    pub fn good(self) -> Style {
        self.colored(Color::Green, Modifier::empty())
    }

    pub fn warning(self) -> Style {
        self.colored(Color::Yellow, Modifier::BOLD)
    }

    pub fn bad(self) -> Style {
        match self {
            Self::Colored => Style::new().fg(Color::Red).add_modifier(Modifier::BOLD),
            Self::Plain => Style::new().add_modifier(Modifier::REVERSED),
        }
    }

    fn colored(self, color: Color, instead: Modifier) -> Style {
        match self {
            Self::Colored => Style::new().fg(color),
            Self::Plain => Style::new().add_modifier(instead),
        }
    }
}
