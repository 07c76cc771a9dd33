//! What this authority promises with each token, and the name of that promise.

use der::asn1::ObjectIdentifier;

/// The policy under which every token is issued: "Timemark time-stamps, first edition".
///
/// 1. The time is whole seconds of UTC, rounded down, and never earlier than in any token issued before.
/// 2. No token is issued once the machine's clock was seen to step, until somebody has looked.
/// 3. What the clock may be off unnoticed is in the token's accuracy.
/// 4. The key signs nothing but tokens.
///
/// The arc is the one below which anybody may name things by a UUID in pieces of 16 and 24 bits
/// (learn.microsoft.com, "Obtaining an Object Identifier from Microsoft"); the UUID is
/// 83bf4098-7d69-4145-bc9b-c9a204f979d6. The arc 2.25, made for UUIDs (ITU-T X.667), has one piece of
/// 128 bits: `der` here, Go's `encoding/asn1` and others cannot read a token that names it.
pub(crate) const POLICY: ObjectIdentifier = ObjectIdentifier::new_unwrap(
    "1.2.840.113556.1.8000.2554.33727.16536.32105.16709.48283.13214212.16349654.1",
);
