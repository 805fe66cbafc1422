//! A filter's settings: one flat JSON object of texts, whole numbers, booleans and lists of texts.
//!
//! Read strictly: what is no such JSON is refused, and so is a setting that the filter never asked for, since a
//! misspelt name would otherwise be a setting without effect.

use crate::log::{Level, Line};
use crate::storage;
use core::cell::Cell;
use core::ops::{Range, RangeInclusive};

const SETTINGS: usize = 32;

/// Why a configuration is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    key: &'static [u8],
    reason: &'static str,
}

impl Refusal {
    /// What is wrong with the setting `key`: "is needed", "is no time".
    pub fn new(key: &'static str, reason: &'static str) -> Self {
        Refusal { key: key.as_bytes(), reason }
    }

    fn syntax(reason: &'static str) -> Self {
        Refusal { key: b"", reason }
    }

    /// The setting; empty if it is about the whole.
    pub fn key(&self) -> &'static [u8] {
        self.key
    }

    /// What is wrong.
    pub fn reason(&self) -> &'static str {
        self.reason
    }

    /// Say it in the profiler's log.
    pub fn log(&self) {
        let mut line = Line::default();
        line.push(b"configuration refused: ");
        if !self.key.is_empty() {
            line.push(b"`");
            line.push(self.key);
            line.push(b"` ");
        }
        line.push(self.reason.as_bytes());
        line.send(Level::Error);
    }
}

#[derive(Clone)]
enum Value {
    Text(Range<usize>),
    Integer(i64),
    Boolean(bool),
    /// The texts one behind the other, a NUL behind each: no text holds one.
    Texts(Range<usize>),
}

/// The settings a user gave. A setting that was not given is None: the filter knows its default.
pub struct Configuration {
    bytes: &'static [u8],
    settings: [Option<(Range<usize>, Value)>; SETTINGS],
    asked: Cell<u32>,
}

impl Configuration {
    /// Read a JSON object; what it says is kept for as long as the filter lives.
    pub fn parse(json: &[u8]) -> Result<Configuration, Refusal> {
        let bytes = storage::keep(json).ok_or(Refusal::syntax("there is no memory for it"))?;
        const NONE: Option<(Range<usize>, Value)> = None;
        let mut settings = [NONE; SETTINGS];
        let mut parser = Parser { bytes, at: 0, kept: 0 };
        parser.object(&mut settings).map_err(Refusal::syntax)?;
        Ok(Configuration { bytes: parser.bytes, settings, asked: Cell::new(0) })
    }

    fn get(&self, key: &str) -> Option<&Value> {
        for (i, setting) in self.settings.iter().enumerate() {
            match setting {
                Some((name, value)) if self.bytes[name.clone()] == *key.as_bytes() => {
                    self.asked.set(self.asked.get() | 1 << i);
                    return Some(value);
                }
                _ => {}
            }
        }
        None
    }

    /// A text in UTF-8, which holds no NUL.
    pub fn text(&self, key: &'static str) -> Result<Option<&'static [u8]>, Refusal> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(&self.bytes[text.clone()])),
            Some(_) => Err(Refusal::new(key, "must be a text")),
        }
    }

    /// A text that must be given, and not be empty.
    pub fn needed_text(&self, key: &'static str) -> Result<&'static [u8], Refusal> {
        match self.text(key)? {
            Some(text) if !text.is_empty() => Ok(text),
            _ => Err(Refusal::new(key, "is needed")),
        }
    }

    /// A whole number within `range`.
    pub fn integer(&self, key: &'static str, range: RangeInclusive<i64>) -> Result<Option<i64>, Refusal> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Integer(number)) if range.contains(number) => Ok(Some(*number)),
            Some(Value::Integer(_)) => Err(Refusal::new(key, "is out of its range")),
            Some(_) => Err(Refusal::new(key, "must be a whole number")),
        }
    }

    /// true or false.
    pub fn boolean(&self, key: &'static str) -> Result<Option<bool>, Refusal> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Boolean(value)) => Ok(Some(*value)),
            Some(_) => Err(Refusal::new(key, "must be true or false")),
        }
    }

    /// A list of texts.
    pub fn texts(&self, key: &'static str) -> Result<Option<Texts>, Refusal> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Texts(texts)) => Ok(Some(Texts(&self.bytes[texts.clone()]))),
            Some(_) => Err(Refusal::new(key, "must be a list of texts")),
        }
    }

    /// Refuses a setting that nobody asked for.
    pub(crate) fn check_all_asked(&self) -> Result<(), Refusal> {
        for (i, setting) in self.settings.iter().enumerate() {
            match setting {
                Some((key, _)) if self.asked.get() & 1 << i == 0 => {
                    return Err(Refusal { key: &self.bytes[key.clone()], reason: "is no setting of this filter" });
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// A list of texts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Texts(&'static [u8]);

impl Texts {
    /// The texts in their order.
    pub fn iter(&self) -> impl Iterator<Item = &'static [u8]> {
        let behind_the_last = self.0.len().saturating_sub(1);
        let texts = if self.0.is_empty() { None } else { Some(&self.0[..behind_the_last]) };
        texts.into_iter().flat_map(|texts| texts.split(|&byte| byte == 0))
    }
}

/// Reads from `at` on, and writes the texts, which are never longer than they were in JSON, over what it has read.
struct Parser {
    bytes: &'static mut [u8],
    at: usize,
    kept: usize,
}

type Parsed<T> = Result<T, &'static str>;

impl Parser {
    fn peek(&mut self) -> Option<u8> {
        while matches!(self.bytes.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        self.bytes.get(self.at).copied()
    }

    fn accept(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    fn expect(&mut self, byte: u8, otherwise: &'static str) -> Parsed<()> {
        match self.accept(byte) {
            true => Ok(()),
            false => Err(otherwise),
        }
    }

    fn object(&mut self, settings: &mut [Option<(Range<usize>, Value)>; SETTINGS]) -> Parsed<()> {
        self.expect(b'{', "is no JSON object")?;
        let mut n = 0;
        while !self.accept(b'}') {
            if n != 0 {
                self.expect(b',', "lacks a comma")?;
            }
            let key = self.text()?;
            let known = settings[..n].iter().flatten();
            if known.into_iter().any(|(name, _)| self.bytes[name.clone()] == self.bytes[key.clone()]) {
                return Err("gives a setting twice");
            }
            self.expect(b':', "lacks a colon")?;
            let value = self.value()?;
            *settings.get_mut(n).ok_or("has more than 32 settings")? = Some((key, value));
            n += 1;
        }
        match self.peek() {
            None => Ok(()),
            Some(_) => Err("has something behind its end"),
        }
    }

    fn value(&mut self) -> Parsed<Value> {
        match self.peek() {
            Some(b'"') => Ok(Value::Text(self.text()?)),
            Some(b'[') => self.texts(),
            Some(b't') => self.word(b"true", true),
            Some(b'f') => self.word(b"false", false),
            Some(b'-' | b'0'..=b'9') => self.integer(),
            _ => Err("has a value that is no text, whole number, boolean or list of texts"),
        }
    }

    fn word(&mut self, word: &[u8], value: bool) -> Parsed<Value> {
        if !self.bytes[self.at..].starts_with(word) {
            return Err("has a value that is no JSON");
        }
        self.at += word.len();
        Ok(Value::Boolean(value))
    }

    fn integer(&mut self) -> Parsed<Value> {
        let negative = self.accept(b'-');
        let first = self.at;
        let mut number: i64 = 0;
        while let Some(digit @ b'0'..=b'9') = self.bytes.get(self.at) {
            let digit = i64::from(digit - b'0');
            number = number
                .checked_mul(10)
                .and_then(|tens| if negative { tens.checked_sub(digit) } else { tens.checked_add(digit) })
                .ok_or("has a number of more than 64 bits")?;
            self.at += 1;
        }
        let digits = self.at - first;
        if digits == 0 || digits > 1 && self.bytes[first] == b'0' {
            return Err("has a number that is no JSON");
        }
        if matches!(self.bytes.get(self.at), Some(b'.' | b'e' | b'E')) {
            return Err("has a number that is not whole");
        }
        Ok(Value::Integer(number))
    }

    fn texts(&mut self) -> Parsed<Value> {
        self.at += 1;
        let start = self.kept;
        while !self.accept(b']') {
            if self.kept != start {
                self.expect(b',', "lacks a comma in a list")?;
            }
            self.text()?;
            // Its quotes have left room for that.
            self.keep(0);
        }
        Ok(Value::Texts(start..self.kept))
    }

    fn keep(&mut self, byte: u8) {
        self.bytes[self.kept] = byte;
        self.kept += 1;
    }

    fn text(&mut self) -> Parsed<Range<usize>> {
        self.expect(b'"', "lacks a text")?;
        let start = self.kept;
        loop {
            match self.next("has a text without an end")? {
                b'"' => return Ok(start..self.kept),
                b'\\' => self.escape()?,
                0..=0x1F => return Err("has a control character in a text"),
                byte => self.keep(byte),
            }
        }
    }

    fn next(&mut self, otherwise: &'static str) -> Parsed<u8> {
        let byte = *self.bytes.get(self.at).ok_or(otherwise)?;
        self.at += 1;
        Ok(byte)
    }

    fn escape(&mut self) -> Parsed<()> {
        const WRONG: &str = "has an escape that is no JSON";
        let byte = match self.next(WRONG)? {
            byte @ (b'"' | b'\\' | b'/') => byte,
            b'b' => 8,
            b't' => b'\t',
            b'n' => b'\n',
            b'f' => 12,
            b'r' => b'\r',
            b'u' => return self.unicode(),
            _ => return Err(WRONG),
        };
        self.keep(byte);
        Ok(())
    }

    fn unicode(&mut self) -> Parsed<()> {
        const HALF: &str = "has half a surrogate pair";
        let mut code = self.hex()?;
        if (0xD800..0xDC00).contains(&code) {
            if self.next(HALF)? != b'\\' || self.next(HALF)? != b'u' {
                return Err(HALF);
            }
            let low = self.hex()?;
            if !(0xDC00..0xE000).contains(&low) {
                return Err(HALF);
            }
            code = 0x1_0000 + ((code - 0xD800) << 10) + (low - 0xDC00);
        }
        let character = char::from_u32(code).ok_or(HALF)?;
        if character == '\0' {
            return Err("has a NUL in a text");
        }
        for byte in character.encode_utf8(&mut [0; 4]).bytes() {
            self.keep(byte);
        }
        Ok(())
    }

    fn hex(&mut self) -> Parsed<u32> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = char::from(self.next("has half an escape")?).to_digit(16);
            code = code << 4 | digit.ok_or("has an escape that is no JSON")?;
        }
        Ok(code)
    }
}

#[cfg(test)]
mod tests {
    use super::{Configuration, Refusal};
    use std::vec::Vec;

    fn parse(json: &str) -> Configuration {
        Configuration::parse(json.as_bytes()).unwrap()
    }

    fn refused(json: &[u8]) -> Refusal {
        match Configuration::parse(json) {
            Ok(_) => panic!("not refused: {}", std::string::String::from_utf8_lossy(json)),
            Err(refusal) => refusal,
        }
    }

    #[test]
    fn values_of_every_type() {
        let settings = parse(r#" { "name" : "nginx", "every":10 ,"keep":false, "of":["a", "", "b c"], "none":[] } "#);
        assert_eq!(settings.text("name"), Ok(Some(&b"nginx"[..])));
        assert_eq!(settings.integer("every", 1..=10), Ok(Some(10)));
        assert_eq!(settings.boolean("keep"), Ok(Some(false)));
        let of: Vec<_> = settings.texts("of").unwrap().unwrap().iter().collect();
        assert_eq!(of, [&b"a"[..], b"", b"b c"]);
        assert_eq!(settings.texts("none").unwrap().unwrap().iter().count(), 0);
        assert_eq!(settings.text("absent"), Ok(None));
        assert_eq!(settings.check_all_asked(), Ok(()));
    }

    #[test]
    fn escapes_become_utf_8() {
        let settings = parse(r#"{"t":"a\"\\\/\b\f\n\r\té\u00fc\ud83d\ude00z","ü":1}"#);
        assert_eq!(settings.text("t"), Ok(Some("a\"\\/\u{8}\u{c}\n\r\téü😀z".as_bytes())));
        assert_eq!(settings.integer("ü", 0..=1), Ok(Some(1)));
    }

    #[test]
    fn integers_have_64_bits() {
        let settings = parse(r#"{"a":-9223372036854775808,"b":9223372036854775807,"c":-0,"d":0}"#);
        assert_eq!(settings.integer("a", i64::MIN..=0), Ok(Some(i64::MIN)));
        assert_eq!(settings.integer("b", 0..=i64::MAX), Ok(Some(i64::MAX)));
        assert_eq!(settings.integer("c", 0..=0), Ok(Some(0)));
        assert_eq!(settings.integer("d", 1..=2), Err(Refusal::new("d", "is out of its range")));
    }

    #[test]
    fn a_value_of_another_type_is_refused() {
        let settings = parse(r#"{"n":1,"t":"x"}"#);
        assert_eq!(settings.text("n"), Err(Refusal::new("n", "must be a text")));
        assert_eq!(settings.integer("t", 0..=1), Err(Refusal::new("t", "must be a whole number")));
        assert_eq!(settings.boolean("t"), Err(Refusal::new("t", "must be true or false")));
        assert_eq!(settings.texts("t"), Err(Refusal::new("t", "must be a list of texts")));
        assert_eq!(settings.needed_text("absent"), Err(Refusal::new("absent", "is needed")));
    }

    #[test]
    fn a_setting_nobody_asks_for_is_refused() {
        let settings = parse(r#"{"name":"x","nmae":"y"}"#);
        settings.needed_text("name").unwrap();
        assert_eq!(settings.check_all_asked(), Err(Refusal::new("nmae", "is no setting of this filter")));
    }

    #[test]
    fn what_is_no_flat_json_object_is_refused() {
        for json in [
            "",
            " ",
            "{",
            "}",
            "[]",
            "1",
            "{}x",
            "{}{}",
            "{,}",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":1,}"#,
            r#"{"a":1"b":2}"#,
            r#"{a:1}"#,
            r#"{'a':1}"#,
            r#"{"a":1.5}"#,
            r#"{"a":1e3}"#,
            r#"{"a":01}"#,
            r#"{"a":-}"#,
            r#"{"a":+1}"#,
            r#"{"a":9223372036854775808}"#,
            r#"{"a":null}"#,
            r#"{"a":{}}"#,
            r#"{"a":[1]}"#,
            r#"{"a":["x",]}"#,
            r#"{"a":["x" "y"]}"#,
            r#"{"a":["x"}"#,
            r#"{"a":tru}"#,
            r#"{"a":truex}"#,
            r#"{"a":"x}"#,
            r#"{"a":"\x"}"#,
            r#"{"a":"\u12"}"#,
            r#"{"a":"\ud83d"}"#,
            r#"{"a":"\ud83dx"}"#,
            r#"{"a":"\ude00"}"#,
            r#"{"a":"\u0000"}"#,
            r#"{"a":"\ud83d\u0041"}"#,
            r#"{"a":1,"a":2}"#,
            "{\"a\":\"\n\"}",
            "{\"a\":\"\0\"}",
            r#"{"a":"\"#,
        ] {
            assert!(!refused(json.as_bytes()).reason().is_empty(), "{json}");
        }
        let many: Vec<_> = (0..33).map(|i| std::format!("\"{i}\":{i}")).collect();
        assert_eq!(refused(std::format!("{{{}}}", many.join(",")).as_bytes()).reason(), "has more than 32 settings");
    }

    #[test]
    fn no_beginning_of_a_configuration_is_one() {
        let whole = r#"{"t":"a\ud83d\ude00","n":[ "x","\n" ],"i":-12,"b":true}"#.as_bytes();
        for n in 0..whole.len() {
            refused(&whole[..n]);
        }
        assert!(Configuration::parse(whole).is_ok());
    }
}
