//! What the configuration says of a radio of OpenEPaperLink: its channel, its speed, and types of labels that we do not
//! know.

use gondola_drivers::openepaperlink::head::RadioOptions;
use gondola_drivers::openepaperlink::label_type::{LabelType, LabelTypeError, LabelTypes, Offered, Packing, Rotation};
use gondola_drivers::openepaperlink::line::{BAUD_FAST, BAUD_SLOW, LineOptions};
use gondola_drivers::openepaperlink::wire::CHANNELS;
use gondola_drivers::transport::ResetPin;
use gondola_protocol::Panel;
use serde::{Deserialize, Serialize};

use super::{Driver, StationConfig, Transport};

/// A radio's channel unless one is given.
const CHANNEL: u8 = 11;

/// A radio's power; those of today ignore it.
const POWER: u8 = 10;

/// `label_types = [{ … }]`: a type of label by the number in its reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelTypeConfig {
    /// Its number, two hexadecimal digits.
    #[serde(with = "hex")]
    pub id: u16,
    /// What people call it.
    pub name: String,
    /// Its display, upright as read.
    pub panel: Panel,
    /// How the glass lies, 0 to 3, as descriptions of OpenEPaperLink count: `rotatebuffer`.
    #[serde(default)]
    pub rotation: u8,
    /// What it can unpack.
    #[serde(default)]
    pub packing: PackingConfig,
    /// From which firmware on, in hexadecimal digits.
    #[serde(default, with = "hex")]
    pub since: u16,
    /// Whether it draws a picture again that it is offered again; taken to unless it is said not to.
    #[serde(default = "is_true")]
    pub redraws: bool,
    /// Whether it has a button.
    #[serde(default)]
    pub has_button: bool,
    /// Whether it has a light.
    #[serde(default)]
    pub has_light: bool,
}

/// A pin of a serial adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ResetConfig {
    /// Request to send.
    Rts,
    /// Data terminal ready.
    Dtr,
}

impl From<ResetConfig> for ResetPin {
    fn from(pin: ResetConfig) -> Self {
        match pin {
            ResetConfig::Rts => Self::Rts,
            ResetConfig::Dtr => Self::Dtr,
        }
    }
}

/// What a type of label can unpack.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PackingConfig {
    /// Nothing.
    #[default]
    Raw,
    /// zlib.
    Zlib,
    /// Group 5.
    Group5,
}

const fn is_true() -> bool {
    true
}

/// Numbers in hexadecimal digits, as descriptions of labels have them.
mod hex {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub(super) fn serialize<S: Serializer>(value: &u16, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{value:02X}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
        let text = String::deserialize(deserializer)?;
        u16::from_str_radix(&text, 16).map_err(|_| D::Error::custom(format!("`{text}` is not a hexadecimal number")))
    }
}

impl LabelTypeConfig {
    /// The type as the driver knows it.
    fn label_type(&self) -> Result<LabelType, String> {
        let since = self.since;
        Ok(LabelType {
            id: u8::try_from(self.id).map_err(|_| format!("id `{:02X}` is not two hexadecimal digits", self.id))?,
            name: self.name.clone(),
            panel: self.panel,
            rotation: *Rotation::ALL
                .get(usize::from(self.rotation))
                .ok_or_else(|| format!("rotation {} is not 0 to 3", self.rotation))?,
            packing: match self.packing {
                PackingConfig::Raw => Packing::Raw,
                PackingConfig::Zlib => Packing::Zlib { since },
                PackingConfig::Group5 => Packing::Group5 { since },
            },
            offered: if self.redraws { Offered::Redrawn } else { Offered::Kept },
            has_button: self.has_button,
            has_light: self.has_light,
        })
    }
}

impl StationConfig {
    /// The channel of a radio; none of another station.
    pub(super) fn radio_channel(&self) -> Option<u8> {
        (self.driver == Driver::Openepaperlink).then(|| self.channel.unwrap_or(CHANNEL))
    }

    /// The types of labels of a radio: those that are known, and its own.
    ///
    /// # Errors
    /// A type of its own that makes no sense, as a sentence.
    pub fn label_types(&self) -> Result<LabelTypes, String> {
        let mut types = LabelTypes::default();
        for own in &self.label_types {
            let added =
                own.label_type().and_then(|own| types.add(own).map_err(|error: LabelTypeError| error.to_string()));
            added.map_err(|problem| format!("label type `{}`: {problem}", own.name))?;
        }
        Ok(types)
    }

    /// What a radio is driven with.
    ///
    /// # Errors
    /// As [`label_types`](Self::label_types).
    pub fn radio_options(&self) -> Result<RadioOptions, String> {
        let (channel, baud) = (self.channel.unwrap_or(CHANNEL), self.transport.baud.unwrap_or(BAUD_FAST));
        Ok(RadioOptions { line: LineOptions { channel, power: POWER, baud }, label_types: self.label_types()? })
    }

    /// What is wrong with a radio's part of the file, or with that of a station that is none.
    pub(super) fn check_radio(&self, name: &str, problems: &mut Vec<String>) {
        if self.driver != Driver::Openepaperlink {
            if self.channel.is_some() || !self.label_types.is_empty() {
                problems.push(format!("{name}: channel and label_types are for driver `openepaperlink`; remove them"));
            }
            if self.transport.reset.is_some() {
                problems.push(format!("{name}: reset is for driver `openepaperlink`; remove it"));
            }
            return;
        }
        let Transport { serial, baud, .. } = &self.transport;
        if serial.is_none() {
            problems.push(format!("{name}: a radio of openepaperlink is driven through `serial`"));
        }
        if let Some(baud) = baud.filter(|baud| ![BAUD_SLOW, BAUD_FAST].contains(baud)) {
            problems.push(format!("{name}: baud {baud} is not {BAUD_SLOW} or {BAUD_FAST}, as radios have it"));
        }
        if self.key_file.is_some() {
            problems.push(format!("{name}: a radio of openepaperlink has no key; remove key_file"));
        }
        if let Some(channel) = self.channel.filter(|channel| !CHANNELS.contains(channel)) {
            problems.push(format!("{name}: channel {channel} is not 11, 15, 20 or 25"));
        }
        if let Err(problem) = self.label_types() {
            problems.push(format!("{name}: {problem}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    const GOOD: &str = r#"
data_dir = "data"
[feed]
broker = "mqtt://127.0.0.1:1883"
[[store]]
id = "one"
name = "One"
format = "community"
time_zone = "Europe/Berlin"
currency = "EUR"
market = "EU"
[[store.base_station]]
id = "front"
driver = "openepaperlink"
transport = { serial = "/dev/ttyUSB0" }
channel = 15
label_types = [{ id = "a0", name = "Own", panel = "bwr-296x128", rotation = 1, packing = "zlib", since = "27" }]
"#;

    #[track_caller]
    fn check(change: impl Fn(&str) -> String, expected: &[&str]) {
        assert_eq!(Config::parse(&change(GOOD), "gondola.toml").unwrap_err().problems, expected);
    }

    #[test]
    fn a_radio_is_read_with_its_defaults_and_printed_as_it_is_read() {
        let good = GOOD.replace("ttyUSB0\"", "ttyUSB0\", reset = \"dtr\"");
        let config = Config::parse(&good, "gondola.toml").unwrap();
        assert_eq!(config.store[0].base_station[0].transport.reset, Some(ResetConfig::Dtr));
        let options = config.store[0].base_station[0].radio_options().unwrap();
        assert_eq!(options.line, LineOptions { channel: 15, power: 10, baud: 2_000_000 });
        let own = options.label_types.get(0xA0).unwrap();
        assert_eq!((own.name.as_str(), own.rotation, own.has_zlib(0x27)), ("Own", Rotation::Right, true));
        let printed = toml::to_string(&config).unwrap();
        assert_eq!(Config::parse(&printed, "printed").unwrap(), config, "{printed}");
    }

    #[test]
    fn what_is_wrong_with_a_radio_is_named() {
        check(
            |good| good.replace("channel = 15", "channel = 26"),
            &["base station `front`: channel 26 is not 11, 15, 20 or 25"],
        );
        check(
            |good| good.replace("serial = \"/dev/ttyUSB0\"", "tcp = \"host:1\""),
            &["base station `front`: a radio of openepaperlink is driven through `serial`"],
        );
        check(
            |good| good.replace("ttyUSB0\"", "ttyUSB0\", baud = 9600"),
            &["base station `front`: baud 9600 is not 115200 or 2000000, as radios have it"],
        );
        check(
            |good| good.replace("channel = 15", "channel = 15\nkey_file = \"key\""),
            &["base station `front`: a radio of openepaperlink has no key; remove key_file"],
        );
        check(
            |good| good.replace("296x128", "250x122").replace("rotation = 1", "rotation = 0"),
            &[
                "base station `front`: label type `Own`: label type A0: its panel's own rows have 250 pixels, which is no \
                 multiple of 8",
            ],
        );
        check(
            |good| good.replace("rotation = 1", "rotation = 4"),
            &["base station `front`: label type `Own`: rotation 4 is not 0 to 3"],
        );
        check(
            |good| good.replace("driver = \"openepaperlink\"", "driver = \"shelflink\""),
            &["base station `front`: channel and label_types are for driver `openepaperlink`; remove them"],
        );
        let shelflink = "driver = \"shelflink\"\ntransport = { serial = \"/dev/ttyUSB0\", reset = \"rts\" }\n";
        check(
            |good| [good.split_once("driver =").unwrap().0, shelflink].concat(),
            &["base station `front`: reset is for driver `openepaperlink`; remove it"],
        );
    }

    #[test]
    fn two_radios_of_one_shop_do_not_share_a_channel() {
        let second = "[[store.base_station]]\nid = \"back\"\ndriver = \"openepaperlink\"\n\
                      transport = { serial = \"/dev/ttyUSB1\" }\n";
        check(
            |good| format!("{good}{second}channel = 15\n"),
            &["store `one`: base stations `front` and `back` share channel 15; give each its own of 11, 15, 20 and 25"],
        );
        assert!(Config::parse(&format!("{GOOD}{second}"), "gondola.toml").is_ok());
    }
}
