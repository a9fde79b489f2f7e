//! What goes to stdout: in, text; out, the text, all of it or as much as its reader wants.

use std::io::{self, Write};

/// Writes to stdout; a reader that has seen enough (`| head`) is no failure.
///
/// # Errors
/// When stdout cannot be written to for another reason.
pub fn write(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}
