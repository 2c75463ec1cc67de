//! Finds one string field in an encoded protobuf message as the decoder will find it: the last one wins.

/// How deep groups may nest, as in the decoder.
const MAX_GROUP_DEPTH: usize = 100;

/// The message cannot be judged: it is not well-formed, or the field has the wrong wire type.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// The bytes of the string at a path of field numbers, or nothing when it is absent.
///
/// Judged must be the value that the handler will see. Protobuf lets a field appear many times: of a singular
/// string the last one counts, and occurrences of a singular message are merged, so the last inner one counts over
/// all of them. The whole message is read, therefore, and what does not decode is refused as a whole.
pub(super) fn last_string<'m>(
    message: &'m [u8],
    path: &[u32],
) -> Result<Option<&'m [u8]>, Malformed> {
    let Some((field, inner)) = path.split_first() else {
        return Err(Malformed);
    };
    let mut found = None;
    let mut rest = message;
    while !rest.is_empty() {
        let (number, wire_type) = key(&mut rest)?;
        if number != *field {
            skip(&mut rest, number, wire_type, 0)?;
            continue;
        }
        if wire_type != LENGTH_DELIMITED {
            return Err(Malformed);
        }
        let value = length_delimited(&mut rest)?;
        if inner.is_empty() {
            found = Some(value);
        } else if let Some(value) = last_string(value, inner)? {
            found = Some(value);
        }
    }
    Ok(found)
}

const VARINT: u8 = 0;
const FIXED_64: u8 = 1;
const LENGTH_DELIMITED: u8 = 2;
const START_GROUP: u8 = 3;
const END_GROUP: u8 = 4;
const FIXED_32: u8 = 5;

/// A field's number and wire type.
fn key(rest: &mut &[u8]) -> Result<(u32, u8), Malformed> {
    let key = u32::try_from(varint(rest)?).map_err(|_| Malformed)?;
    let number = key >> 3;
    if number == 0 {
        return Err(Malformed);
    }
    Ok((number, (key & 7) as u8))
}

fn skip(rest: &mut &[u8], number: u32, wire_type: u8, depth: usize) -> Result<(), Malformed> {
    match wire_type {
        VARINT => varint(rest).map(drop),
        FIXED_64 => take(rest, 8).map(drop),
        LENGTH_DELIMITED => length_delimited(rest).map(drop),
        FIXED_32 => take(rest, 4).map(drop),
        START_GROUP if depth < MAX_GROUP_DEPTH => loop {
            let (inner, wire_type) = key(rest)?;
            if wire_type == END_GROUP {
                return if inner == number {
                    Ok(())
                } else {
                    Err(Malformed)
                };
            }
            skip(rest, inner, wire_type, depth + 1)?;
        },
        _ => Err(Malformed),
    }
}

fn length_delimited<'m>(rest: &mut &'m [u8]) -> Result<&'m [u8], Malformed> {
    let length = usize::try_from(varint(rest)?).map_err(|_| Malformed)?;
    take(rest, length)
}

fn take<'m>(rest: &mut &'m [u8], length: usize) -> Result<&'m [u8], Malformed> {
    let (taken, after) = rest.split_at_checked(length).ok_or(Malformed)?;
    *rest = after;
    Ok(taken)
}

fn varint(rest: &mut &[u8]) -> Result<u64, Malformed> {
    let mut value = 0;
    for (index, byte) in rest.iter().take(10).enumerate() {
        // The tenth byte holds the last bit of 64.
        if index == 9 && *byte > 1 {
            return Err(Malformed);
        }
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            *rest = rest.get(index + 1..).ok_or(Malformed)?;
            return Ok(value);
        }
    }
    Err(Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &[u8] = b"\x0a\x03own";
    const OTHER: &[u8] = b"\x0a\x05other";

    fn find(message: &[u8]) -> Result<Option<&[u8]>, Malformed> {
        last_string(message, &[1])
    }

    #[test]
    fn the_last_of_two_values_is_judged() {
        assert_eq!(find(&[OWN, OTHER].concat()), Ok(Some(&b"other"[..])));
        assert_eq!(find(&[OTHER, OWN].concat()), Ok(Some(&b"own"[..])));
        // The same key written longer than needed is the same field.
        assert_eq!(
            find(&[OWN, b"\x8a\x00\x05other"].concat()),
            Ok(Some(&b"other"[..]))
        );
        assert_eq!(find(&[OWN, b"\x0a\x00"].concat()), Ok(Some(&b""[..])));
    }

    #[test]
    fn other_fields_are_stepped_over() {
        let message = [
            b"\x10\x96\x01".as_slice(),     // varint
            b"\x19\x0a\x03own\x00\x00\x00", // fixed64 that looks like the field
            b"\x22\x05\x0a\x03own",         // a message that holds a field of the same number
            b"\x2b\x0a\x03own\x2c",         // a group that does
            b"\x35\x0a\x01x\x00",           // fixed32
        ]
        .concat();
        assert_eq!(find(&message), Ok(None));
        assert_eq!(
            find(&[message, OWN.to_vec()].concat()),
            Ok(Some(&b"own"[..]))
        );
        assert_eq!(find(b""), Ok(None));
    }

    #[test]
    fn what_the_decoder_refuses_is_malformed() {
        for message in [
            b"\x0a\x05own".as_slice(),                       // longer than the message
            b"\x0a",                                         // no length
            b"\x8a",                                         // truncated key
            b"\x0a\xff",                                     // truncated length
            b"\x08\x01",                                     // the field as a varint
            b"\x0b\x0c",                                     // the field as a group
            b"\x0a\x03own\x08\x01",                          // right, then wrong
            b"\x13\x0a\x03own",                              // a group without an end
            b"\x13\x1c",                                     // the end of another group
            b"\x14",                                         // an end without a group
            b"\x16\x00",                                     // wire type 6
            b"\x02\x00",                                     // field number 0
            b"\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", // a varint over 64 bits
            b"\x10\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", // a varint of 11 bytes
            b"\x8a\x80\x80\x80\x80\x80\x00\x03own\xff",      // trailing rubbish
            b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", // an absurd length
        ] {
            assert_eq!(find(message), Err(Malformed), "{message:02x?}");
        }
        assert_eq!(find(&[0x13].repeat(200)), Err(Malformed));
    }

    #[test]
    fn nested_messages_merge_as_in_the_decoder() {
        let message = b"\x0a\x05\x12\x03own\x0a\x02\x18\x01\x0a\x07\x12\x05other\x0a\x02\x18\x02";
        assert_eq!(last_string(message, &[1, 2]), Ok(Some(&b"other"[..])));
        assert_eq!(last_string(b"\x0a\x02\x18\x01", &[1, 2]), Ok(None));
        assert_eq!(last_string(message, &[]), Err(Malformed));
    }
}
