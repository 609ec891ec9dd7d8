//! What the writer in the device wrote, read back: from the console and from the archive.

/// A line, by the boot that wrote it and its number there.
pub(super) type Id = (u64, u64);

/// The line whose number was said on the console as durable.
pub(super) fn durable(said: &str) -> Option<Id> {
    id(said.strip_prefix("D ")?.split(' '))
}

/// The line that this is, if it is whole: `MARK NUMBER LEVEL filling NUMBER.`
pub(super) fn written(body: &str) -> Option<Id> {
    let words: Vec<&str> = body.split(' ').collect();
    let [mark, number, _, _, end] = words[..] else { return None };
    let id = id([mark, number].into_iter())?;
    (end.strip_suffix('.')? == number).then_some(id)
}

fn id<'a>(mut words: impl Iterator<Item = &'a str>) -> Option<Id> {
    let id = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    words.next().is_none().then_some(id)
}

/// How many bytes may repeat, where a sentence of the agent says so.
pub(super) fn may_repeat(message: &str) -> Option<u64> {
    let (before, _) = message.split_once(" bytes may repeat")?;
    before.rsplit_once("up to ")?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_counts_only_if_it_is_whole() {
        assert_eq!(written("7 12 INFO abcd 12."), Some((7, 12)));
        assert_eq!(written("7 12 INFO abcd 1"), None, "torn");
        assert_eq!(written("7 12 INFO abcd7 13 INFO abcd 13."), None, "two in one");
        assert_eq!(durable("D 7 12"), Some((7, 12)));
        assert_eq!(durable("D 7 12 and more"), None);
        assert_eq!(durable("W 7 12"), None);
    }

    #[test]
    fn the_agents_sentence_says_how_much_may_repeat() {
        let said = "/l/a: 900 bytes were read before the power went, and of its 800 bytes now only the first 640 \
                    are known to be the same; it is read on from there: up to 260 bytes may repeat, and what";
        assert_eq!(may_repeat(said), Some(260));
        assert_eq!(may_repeat("/l/a was truncated"), None);
    }
}
