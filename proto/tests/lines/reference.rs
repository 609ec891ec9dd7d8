//! A second decoder: no tables, no arithmetic on bits, nothing shared with the first.
//!
//! It reads as the specification does, with strings, lists and maps of the standard library. It
//! keeps no limit but those that decide what comes out.

use std::collections::HashMap;

/// Columns that there may be; see [`Reference::column`].
const COLUMNS: usize = 512;
/// Groups in a list of recent ones.
const RECENTS: usize = 32;

/// The text, if the streams are those of one of so many bytes.
pub(crate) fn decode(text: &[u8], symbols: &[u8], bits: &[u8], bytes: usize) -> Option<Vec<u8>> {
    let lists = lists(symbols)?;
    let mut reference = Reference {
        text: text.to_vec(),
        is_single: lists.len() == 1,
        lists,
        bits: bits.iter().flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1 == 1)).collect(),
        templates: Vec::new(),
        followers: HashMap::new(),
        before: None,
        columns: Vec::new(),
        recents: HashMap::new(),
        out: Vec::new(),
    };
    while reference.out.len() < bytes {
        let line = reference.line()?;
        reference.out.extend(line);
        if reference.out.len() < bytes {
            reference.out.push(b'\n');
        }
    }
    let has_text = !reference.text.is_empty();
    let has_symbols = reference.lists.iter().any(|list| !list.is_empty());
    let has_bits = reference.bits.len() >= 8 || reference.bits.contains(&true);
    (reference.out.len() == bytes && !has_text && !has_symbols && !has_bits).then_some(reference.out)
}

/// A varint at the front.
fn varint(bytes: &mut Vec<u8>) -> Option<usize> {
    let mut number = 0usize;
    for place in 0..10 {
        if bytes.is_empty() {
            return None;
        }
        let byte = bytes.remove(0);
        number = number.checked_add(usize::from(byte & 127).checked_mul(128usize.checked_pow(place)?)?)?;
        if byte < 128 {
            return Some(number);
        }
    }
    None
}

/// How many lists there are, how long each is, and then they.
fn lists(symbols: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut rest = symbols.to_vec();
    let count = varint(&mut rest)?;
    if count > COLUMNS + 1 {
        return None;
    }
    let mut lengths = Vec::new();
    for _ in 0..count {
        lengths.push(varint(&mut rest)?);
    }
    let mut lists = Vec::new();
    for length in lengths {
        if length > rest.len() {
            return None;
        }
        lists.push(rest.drain(..length).collect());
    }
    rest.is_empty().then_some(lists)
}

/// A piece of a template.
#[derive(Clone)]
enum Piece {
    /// A byte that stays, without what escaped it.
    Stays(u8),
    Variable,
}

#[derive(Clone)]
struct Group {
    /// Where its first and its last variable are among the pieces.
    first: usize,
    last: usize,
    columns: Vec<usize>,
}

#[derive(Clone)]
struct Template {
    pieces: Vec<Piece>,
    groups: Vec<Group>,
}

struct Column {
    hash: u32,
    form: u8,
    last: u64,
    group: Option<Vec<u8>>,
}

struct Reference {
    text: Vec<u8>,
    lists: Vec<Vec<u8>>,
    /// There is one list only, and all symbols are in it.
    is_single: bool,
    bits: Vec<bool>,
    templates: Vec<Template>,
    followers: HashMap<usize, usize>,
    before: Option<usize>,
    columns: Vec<Column>,
    recents: HashMap<usize, Vec<Vec<u8>>>,
    out: Vec<u8>,
}

impl Reference {
    fn entry(&mut self) -> Option<Vec<u8>> {
        let end = self.text.iter().position(|&byte| byte == b'\n')?;
        let mut entry: Vec<u8> = self.text.drain(..=end).collect();
        entry.pop();
        Some(entry)
    }

    fn symbol(&mut self, list: usize) -> Option<u8> {
        let list = if self.is_single { 0 } else { list };
        let list = self.lists.get_mut(list)?;
        (!list.is_empty()).then(|| list.remove(0))
    }

    fn line(&mut self) -> Option<Vec<u8>> {
        let template = match self.symbol(0)? {
            0 => *self.followers.get(&self.before?)?,
            1 => {
                let entry = self.entry()?;
                let template = self.template(&entry)?;
                self.templates.push(template);
                self.templates.len() - 1
            }
            2 => return self.entry(),
            symbol @ 3..=251 => usize::from(symbol) - 3,
            symbol => (usize::from(symbol) - 252) * 256 + usize::from(self.symbol(0)?),
        };
        let Template { pieces, groups } = self.templates.get(template)?.clone();
        if let Some(before) = self.before.replace(template) {
            self.followers.insert(before, template);
        }
        let mut line = Vec::new();
        let mut at = 0;
        for group in groups {
            line.extend(stays(&pieces[at..group.first]));
            line.extend(self.group(&pieces, &group)?);
            at = group.last + 1;
        }
        line.extend(stays(&pieces[at..]));
        Some(line)
    }

    fn template(&mut self, entry: &[u8]) -> Option<Template> {
        let variables = self.variables(entry);
        if self.templates.len() == 512 || variables.iter().flatten().count() > 128 {
            return None;
        }
        let slots: usize =
            self.templates.iter().flat_map(|known| &known.groups).map(|group| group.columns.len()).sum();
        if slots + variables.iter().flatten().count() > 4096 {
            return None;
        }
        let mut pieces = Vec::new();
        let mut bytes = entry.iter();
        while let Some(&byte) = bytes.next() {
            pieces.push(match byte {
                1 => Piece::Variable,
                2 => Piece::Stays(*bytes.next()?),
                byte => Piece::Stays(byte),
            });
        }
        let places: Vec<usize> =
            (0..pieces.len()).filter(|&at| matches!(pieces[at], Piece::Variable)).collect();
        let mut places = places.into_iter();
        let groups = variables
            .into_iter()
            .map(|columns| {
                let places: Vec<usize> = places.by_ref().take(columns.len()).collect();
                Group { first: places[0], last: places[columns.len() - 1], columns }
            })
            .collect();
        Some(Template { pieces, groups })
    }

    /// The columns of an entry's variables, by groups.
    fn variables(&mut self, entry: &[u8]) -> Vec<Vec<usize>> {
        let is_word = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
        let mut groups: Vec<Vec<usize>> = Vec::new();
        // Where the hash of the group begins, while one is open.
        let mut open: Option<(usize, Option<usize>)> = None;
        let mut word = 0;
        let mut has_word = false;
        let mut behind = None;
        let mut is_in_word = false;
        let mut at = 0;
        let mut is_escaped = false;
        while at < entry.len() {
            let byte = entry[at];
            if byte == 1 && !is_escaped {
                let (start, mixed) = *open.get_or_insert_with(|| match (behind, has_word) {
                    (Some(behind), false) => (behind, groups.last().and_then(|group| group.last()).copied()),
                    _ => (word, None),
                });
                let is_first = groups.is_empty() || behind.is_none_or(|behind| start >= behind) || {
                    // A group that begins at a word before its variable begins behind the last one.
                    has_word && start == word
                };
                let mut hashed = entry[start..=at].to_vec();
                if is_first && let Some(column) = mixed {
                    hashed.extend((column as u16).to_le_bytes());
                }
                let column = self.column(fnv(&hashed));
                if is_first {
                    groups.push(Vec::new());
                }
                groups.last_mut().unwrap().push(column);
                (has_word, is_in_word) = (false, false);
                behind = Some(at + 1);
            } else {
                if b" \t,;=[](){}\"'|<>".contains(&byte) {
                    open = None;
                }
                if is_word(byte) && !is_in_word {
                    (word, has_word) = (at, true);
                }
                is_in_word = is_word(byte);
                is_escaped = byte == 2 && !is_escaped;
            }
            at += 1;
        }
        groups
    }

    fn column(&mut self, hash: u32) -> usize {
        if let Some(known) = self.columns.iter().position(|column| column.hash == hash) {
            return known;
        }
        if self.columns.len() == COLUMNS {
            return COLUMNS - 1;
        }
        self.columns.push(Column { hash, form: 0, last: 0, group: None });
        self.columns.len() - 1
    }

    fn group(&mut self, pieces: &[Piece], group: &Group) -> Option<Vec<u8>> {
        let first = group.columns[0];
        let list = group.columns.len().min(8);
        let text = match self.symbol(first + 1)? {
            0 => return self.columns[first].group.clone(),
            rank @ 1..=32 => {
                let recents = self.recents.entry(list).or_default();
                let rank = usize::from(rank) - 1;
                if rank >= recents.len() {
                    return None;
                }
                let text = recents.remove(rank);
                recents.insert(0, text.clone());
                text
            }
            symbol => {
                let mut text = Vec::new();
                let mut columns = group.columns.iter();
                text.extend(self.variable(*columns.next()?, symbol - 33)?);
                for piece in &pieces[group.first + 1..=group.last] {
                    match piece {
                        Piece::Stays(byte) => text.push(*byte),
                        Piece::Variable => {
                            let column = *columns.next()?;
                            let symbol = self.symbol(column + 1)?;
                            text.extend(self.variable(column, symbol)?);
                        }
                    }
                }
                if text.len() >= 3 {
                    let recents = self.recents.entry(list).or_default();
                    recents.insert(0, text.clone());
                    recents.truncate(RECENTS);
                }
                text
            }
        };
        self.columns[first].group = Some(text.clone());
        Some(text)
    }

    fn variable(&mut self, column: usize, mut symbol: u8) -> Option<Vec<u8>> {
        if symbol == 185 {
            let form = self.symbol(column + 1)?;
            if !matches!(form, 0..=19 | 32..=48 | 64..=80 | 96) {
                return None;
            }
            self.columns[column].form = form;
            symbol = self.symbol(column + 1)?;
        }
        let form = self.columns[column].form;
        if form == 96 {
            return if symbol == 0 { self.entry() } else { None };
        }
        let zigzag = match symbol {
            0..=127 => u128::from(symbol),
            128..=184 => {
                let count = usize::from(symbol) - 128 + 7;
                if count > self.bits.len() {
                    return None;
                }
                let bits: Vec<bool> = self.bits.drain(..count).collect();
                let low: u128 = bits.iter().enumerate().map(|(at, &bit)| u128::from(bit) << at).sum();
                low + (1 << count)
            }
            _ => return None,
        };
        let half = zigzag / 2;
        let last = i128::from(self.columns[column].last);
        let number = if zigzag % 2 == 0 { last + half as i128 } else { last - half as i128 - 1 };
        let number = number.rem_euclid(1 << 64) as u64;
        self.columns[column].last = number;
        let digits = match form {
            0..=19 => format!("{number:0width$}", width = usize::from(form)),
            32..=48 => format!("{number:0width$x}", width = usize::from(form - 32)),
            _ => format!("{number:0width$X}", width = usize::from(form - 64)),
        };
        Some(digits.into_bytes())
    }
}

fn stays(pieces: &[Piece]) -> Vec<u8> {
    pieces
        .iter()
        .filter_map(|piece| if let Piece::Stays(byte) = piece { Some(*byte) } else { None })
        .collect()
}

/// FNV-1a, 32 bits.
fn fnv(bytes: &[u8]) -> u32 {
    bytes.iter().fold(2_166_136_261, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(16_777_619))
}
