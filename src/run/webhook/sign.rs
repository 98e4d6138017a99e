//! How receivers tell that a delivery is ours.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::hmac;

/// What stands before a secret of Standard Webhooks, which is in base64 behind it.
const SECRET_PREFIX: &str = "whsec_";

fn hmac_base64(key: &[u8], message: &str) -> String {
    BASE64.encode(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message.as_bytes()))
}

/// The header `webhook-signature` of [Standard Webhooks](https://www.standardwebhooks.com): over the delivery's name, the
/// Unix time in seconds, and the body.
pub(super) fn standard(secret: &str, id: &str, seconds: u64, body: &str) -> String {
    let decoded = secret.strip_prefix(SECRET_PREFIX).and_then(|text| BASE64.decode(text).ok());
    let key = decoded.unwrap_or_else(|| secret.as_bytes().to_vec());
    format!("v1,{}", hmac_base64(&key, &format!("{id}.{seconds}.{body}")))
}

/// `sign` of DingTalk's robots, over the Unix time in milliseconds and the secret itself.
pub(super) fn dingtalk(secret: &str, millis: u64) -> String {
    hmac_base64(secret.as_bytes(), &format!("{millis}\n{secret}"))
}

/// `sign` of Feishu's robots: the Unix time in seconds and the secret are the key, and nothing is the message.
pub(super) fn feishu(secret: &str, seconds: u64) -> String {
    hmac_base64(format!("{seconds}\n{secret}").as_bytes(), "")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The specification's own example, and two that Python's `hmac` gives.
    #[test]
    fn signatures_are_those_that_receivers_compute() {
        let body = r#"{"test": 2432232314}"#;
        let signed =
            standard("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert_eq!(dingtalk("SEC0123", 1_795_536_000_000), "AbEqSHXgFYh9AnlPZIXWE7i3Tfvt6jYhR9ZfXrz6k5k=");
        assert_eq!(feishu("demo", 1_599_360_473), "l1N0gAcBjdwBvGm1xMjOF0XSyaLRpR7tuO5dHfhAYc8=");
    }
}
