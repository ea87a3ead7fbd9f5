//! Output for people and programs: tables where a person reads, JSON where a program does.

use std::io::{self, Write as _};

use comfy_table::{ContentArrangement, Table, TableComponent, presets};

/// One line to standard output. A reader that closed its end (`| head`) is an end, not a failure.
pub(super) fn line(text: impl AsRef<[u8]>) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_ref()).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        result => Ok(result?),
    }
}

/// Bytes as they came, without a line end of ours.
pub(super) fn raw(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        result => Ok(result?),
    }
}

/// Rows under their headers, as wide as the terminal.
pub(super) fn table<R>(headers: Vec<String>, rows: impl IntoIterator<Item = R>) -> String
where
    R: IntoIterator<Item = String>,
{
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_style(TableComponent::HeaderLines, '─')
        .set_style(TableComponent::MiddleHeaderIntersections, '─')
        .set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(headers);
    for row in rows {
        table.add_row(row.into_iter().map(|cell| inert(&cell)).collect::<Vec<_>>());
    }
    table.to_string()
}

/// Stored text as a terminal may show it: control bytes from outside are escaped, not obeyed.
pub(super) fn inert(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() && character != '\n' && character != '\t' {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_text_cannot_command_the_terminal() {
        assert_eq!(inert("a\u{1b}[31mb\rc\nd"), "a\\u{1b}[31mb\\rc\nd");
    }
}
