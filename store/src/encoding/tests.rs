//! What packing and sealing promise, beside their code.

use std::fs;
use std::io::{Cursor, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::Command;

use image::codecs::jpeg::JpegEncoder;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// A JPEG of clouds with grain, the same each time.
fn jpeg(width: u32, height: u32) -> Vec<u8> {
    let mut state = 1_u32;
    let picture = image::RgbImage::from_fn(width, height, |x, y| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let wave = (x as f32 / 37.0).sin() * 60.0 + (y as f32 / 23.0).cos() * 60.0 + 120.0;
        let level = (wave + (state >> 28) as f32) as u8;
        image::Rgb([level, level / 2 + (x % 64) as u8, 255 - level])
    });
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, 85).encode_image(&picture).unwrap();
    bytes
}

fn text(bytes: usize) -> Vec<u8> {
    (0_u32..)
        .flat_map(|line| format!("{line}: and so it goes on\n").into_bytes())
        .take(bytes)
        .collect()
}

/// Bytes that nothing makes smaller.
fn dense(bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    std::iter::repeat_with(next).take(bytes).collect()
}

fn boxed(bytes: &[u8]) -> Box<dyn Read + Send> {
    Box::new(Cursor::new(bytes.to_vec()))
}

fn read_all(mut reader: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).map(|_| bytes)
}

fn unpack_all(packing: Packing, stored: &[u8], length: usize) -> io::Result<Vec<u8>> {
    read_all(unpack(packing, boxed(stored), length as u64)?)
}

fn seal_all(recipients: &Recipients, work: &[u8]) -> Vec<u8> {
    read_all(recipients.seal(work).unwrap()).unwrap()
}

fn open_all(identities: &Identities, stored: &[u8]) -> Result<io::Result<Vec<u8>>, SealError> {
    identities.open_sealed(boxed(stored)).map(read_all)
}

fn key() -> (Identities, Recipients) {
    let (secret, recipient) = Identities::generate();
    (Identities::parse(secret.expose()).unwrap(), Recipients::parse([&*recipient]).unwrap())
}

/// Fails after some bytes, with an error that is known again.
struct Failing(Vec<u8>);

impl Read for Failing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.0.len().min(buffer.len());
        if read == 0 {
            return Err(io::Error::new(ErrorKind::ConnectionReset, "the cable"));
        }
        buffer[..read].copy_from_slice(&self.0[..read]);
        self.0.drain(..read);
        Ok(read)
    }
}

impl Write for Failing {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::Error::new(ErrorKind::StorageFull, "the cable"))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn is_the_cable(error: &io::Error, kind: ErrorKind) -> bool {
    error.kind() == kind && error.get_ref().is_some_and(|inner| inner.to_string() == "the cable")
}

#[test]
fn every_encoding_has_one_spelling() {
    for text in ["plain", "lepton", "zstd", "plain age", "lepton age", "zstd age"] {
        assert_eq!(text.parse::<Encoding>().unwrap().to_string(), text);
    }
    for bad in
        ["", "age", " age", "Plain", "plain ", "plain  age", "zstd age age", "gzip", "zstd\nage"]
    {
        assert!(bad.parse::<Encoding>().is_err(), "{bad:?}");
    }
}

#[test]
fn a_jpeg_is_packed_by_lepton_and_comes_back() {
    for work in [jpeg(640, 480), jpeg(8, 8000), [jpeg(300, 300), text(1000)].concat()] {
        let packed = pack(&work).unwrap();
        assert_eq!(packed.packing, Packing::Lepton);
        assert!(
            packed.bytes.len() * 100 < work.len() * 97,
            "{} of {}",
            packed.bytes.len(),
            work.len()
        );
        assert_eq!(unpack_all(packed.packing, &packed.bytes, work.len()).unwrap(), work);
    }
}

#[test]
fn text_is_packed_by_zstd_and_comes_back() {
    let work = text(3_000_000);
    let packed = pack(&work).unwrap();
    assert_eq!(packed.packing, Packing::Zstd);
    assert!(packed.bytes.len() * 10 < work.len());
    assert_eq!(unpack_all(packed.packing, &packed.bytes, work.len()).unwrap(), work);
}

#[test]
fn what_gets_no_smaller_stays_as_it_was() {
    let works = Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples/works");
    let mut seen = Vec::new();
    for entry in fs::read_dir(works).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|kind| kind == "png") {
            let packed = pack(&fs::read(&path).unwrap());
            assert!(packed.is_none(), "{} {:?}", path.display(), packed.unwrap().packing);
            seen.push(path);
        }
    }
    assert!(seen.len() >= 2, "{seen:?}");
    for work in [Vec::new(), vec![7], dense(100), dense(1 << 20)] {
        assert!(pack(&work).is_none(), "{} bytes", work.len());
        let mut out = Vec::new();
        assert_eq!(pack_stream(&mut &work[..], &mut out).unwrap(), None);
        assert!(out.is_empty());
    }
}

#[test]
fn a_long_work_is_packed_while_it_streams_by() {
    let work = [text(9_000_000), dense(1_000_000), text(100)].concat();
    let mut out = Vec::new();
    let streamed = pack_stream(&mut &work[..], &mut out).unwrap().unwrap();
    assert_eq!(streamed.work_bytes, work.len() as u64);
    assert_eq!(streamed.stored_bytes, out.len() as u64);
    assert!(unpack_all(Packing::Zstd, &out, work.len()).unwrap() == work);
    // What turns out dense behind its first megabyte is not worth it either.
    let work = [text(1 << 18), dense(20_000_000)].concat();
    assert_eq!(pack_stream(&mut &work[..], &mut io::sink()).unwrap(), None);
}

#[test]
fn errors_of_work_and_output_are_told_apart() {
    let failed = pack_stream(&mut Failing(text(5_000_000)), &mut io::sink());
    assert!(
        matches!(&failed, Err(StreamError::Work(error)) if is_the_cable(error, ErrorKind::ConnectionReset))
    );
    let failed = pack_stream(&mut &text(5_000_000)[..], &mut Failing(Vec::new()));
    assert!(
        matches!(&failed, Err(StreamError::Output(error)) if is_the_cable(error, ErrorKind::StorageFull))
    );
}

#[test]
fn an_error_of_the_store_comes_through_as_it_is() {
    for work in [jpeg(400, 400), text(400_000)] {
        let packed = pack(&work).unwrap();
        for (packing, bytes) in [(packed.packing, &packed.bytes), (Packing::Plain, &work)] {
            let half = Failing(bytes[..bytes.len() / 2].to_vec());
            let result = unpack(packing, Box::new(half), work.len() as u64).and_then(read_all);
            assert!(is_the_cable(&result.unwrap_err(), ErrorKind::ConnectionReset));
        }
    }
    let (identities, recipients) = key();
    let sealed = seal_all(&recipients, &text(200_000));
    let opened = identities.open_sealed(Box::new(Failing(sealed[..100_000].to_vec())));
    assert!(is_the_cable(&read_all(opened.unwrap()).unwrap_err(), ErrorKind::ConnectionReset));
    let opened = identities.open_sealed(Box::new(Failing(sealed[..50].to_vec())));
    let Err(SealError::Read(error)) = opened else { panic!("opened without a header") };
    assert!(is_the_cable(&error, ErrorKind::ConnectionReset));
    let sealing = recipients.seal(Failing(text(200_000))).unwrap();
    assert!(is_the_cable(&read_all(sealing).unwrap_err(), ErrorKind::ConnectionReset));
}

#[test]
fn nothing_longer_or_shorter_than_the_work_comes_out() {
    for work in [jpeg(200, 200), text(50_000)] {
        let packed = pack(&work).unwrap();
        for (packing, bytes) in [(packed.packing, &packed.bytes), (Packing::Plain, &work)] {
            for length in [0, 1, work.len() - 1, work.len() + 1, usize::MAX] {
                let error = unpack_all(packing, bytes, length).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::InvalidData, "{packing:?} {length}");
            }
        }
    }
}

#[test]
fn a_bomb_and_a_store_without_end_are_stopped() {
    let bomb = zstd_of(&vec![0; 50_000_000], 23);
    assert!(bomb.len() < 10_000);
    let work = unpack(Packing::Zstd, boxed(&bomb), 20_000).unwrap();
    assert_eq!(read_all(work).unwrap_err().kind(), ErrorKind::InvalidData);
    // Empty frames, again and again.
    let frames = zstd_of(&[], 23).repeat(10_000);
    assert!(unpack_all(Packing::Zstd, &frames, 1 << 20).is_err());
    // A window that would take more memory than is allowed.
    let wide = zstd_of(&text(30_000_000), 27);
    assert!(unpack_all(Packing::Zstd, &wide, 30_000_000).is_err());
    for packing in [Packing::Plain, Packing::Zstd, Packing::Lepton] {
        let endless: Box<dyn Read + Send> = Box::new(io::repeat(0x28));
        assert!(unpack(packing, endless, 1 << 20).and_then(read_all).is_err());
    }
    let (identities, _) = key();
    let header = b"age-encryption.org/v1\n-> X25519 ".to_vec();
    let endless = Box::new(Cursor::new(header).chain(io::repeat(b'a')));
    assert!(matches!(identities.open_sealed(endless), Err(SealError::Damaged)));
}

fn zstd_of(bytes: &[u8], window_log: u32) -> Vec<u8> {
    let mut encoder = ::zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(window_log).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_picture_that_claims_to_be_huge_is_left_alone() {
    let mut work = jpeg(640, 480);
    let frame = work.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    work[frame + 5..frame + 9].copy_from_slice(&[0x3f, 0xff, 0x3f, 0xff]);
    assert!(pack(&work).is_none());
}

#[test]
fn sealed_works_come_back_whatever_their_length() {
    let (identities, recipients) = key();
    for length in [0, 1, 65_535, 65_536, 65_537, 131_072, 300_000] {
        let work = dense(length);
        let sealed = seal_all(&recipients, &work);
        assert_eq!(open_all(&identities, &sealed).unwrap().unwrap(), work);
        assert_ne!(seal_all(&recipients, &work), sealed, "the same key twice");
        // By small pieces as well.
        let mut reader = recipients.seal(&work[..]).unwrap();
        let (mut sealed, mut piece) = (Vec::new(), [0; 777]);
        while let read @ 1.. = reader.read(&mut piece).unwrap() {
            sealed.extend_from_slice(&piece[..read]);
        }
        assert_eq!(open_all(&identities, &sealed).unwrap().unwrap(), work);
    }
}

#[test]
fn a_truncated_or_flipped_seal_is_told() {
    let (identities, recipients) = key();
    let work = dense(140_000);
    let sealed = seal_all(&recipients, &work);
    let steps = (0..400).chain((400..sealed.len()).step_by(997)).chain([sealed.len() - 1]);
    for at in steps {
        let mut flipped = sealed.clone();
        flipped[at] ^= 4;
        for bytes in [&sealed[..at], &flipped[..]] {
            match open_all(&identities, bytes) {
                Ok(Ok(_)) => panic!("{at}: damage was not seen"),
                Ok(Err(error)) => assert_eq!(error.kind(), ErrorKind::InvalidData, "{at}"),
                Err(SealError::NoKey | SealError::Damaged) => {}
                Err(error) => panic!("{at}: {error}"),
            }
        }
    }
    let longer = [&sealed[..], b"x"].concat();
    assert!(open_all(&identities, &longer).unwrap().is_err());
}

#[test]
fn each_recipient_opens_and_nobody_else() {
    let ([(first, a), (second, b)], (stranger, _)) =
        ([(); 2].map(|()| Identities::generate()), key());
    let [first, second] = [first, second].map(|secret| Identities::parse(secret.expose()).unwrap());
    let recipients = Recipients::parse([&*a, &*b]).unwrap();
    let sealed = seal_all(&recipients, b"a work");
    assert_eq!(open_all(&first, &sealed).unwrap().unwrap(), b"a work");
    assert_eq!(open_all(&second, &sealed).unwrap().unwrap(), b"a work");
    assert!(matches!(open_all(&stranger, &sealed), Err(SealError::NoKey)));
}

#[test]
fn keys_are_read_strictly_and_secrets_hidden() {
    let (secret, recipient) = Identities::generate();
    let file = format!("# created: today\n# public key: {recipient}\n\n{}\r\n", secret.expose());
    let identities = Identities::parse(&file).unwrap();
    assert_eq!(identities.recipients(), Recipients::parse([&*recipient]).unwrap());
    for shown in [format!("{identities:?}"), format!("{secret:?}")] {
        assert!(!shown.contains(&secret.expose()[20..]), "{shown}");
    }
    let error = Identities::parse(&format!("# key\n{}x", secret.expose())).unwrap_err();
    assert!(matches!(error, BadKey::Identity { line: 2 }), "{error}");
    assert!(matches!(Identities::parse("# none\n"), Err(BadKey::None)));
    assert!(matches!(Recipients::parse([]), Err(BadKey::None)));
    assert!(matches!(Recipients::parse(vec![&*recipient; 65]), Err(BadKey::TooMany { .. })));
    let weak = "age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq5cu47z";
    for bad in ["", &recipient.to_uppercase(), &format!("{recipient} "), secret.expose(), weak] {
        assert!(matches!(Recipients::parse([bad]), Err(BadKey::Recipient { .. })), "{bad}");
    }
}

/// `age` of the distribution is written in Go by others.
#[test]
fn the_program_age_opens_what_is_sealed_here_and_the_other_way_round() {
    let run = |program: &str, arguments: &[&Path]| {
        let output = Command::new(program).args(arguments).output().ok()?;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Some(output.stdout)
    };
    if Command::new("age").arg("--version").output().is_err() {
        eprintln!("SKIPPED: the program age is not here");
        let required = std::env::var_os("TIMEMARK_REQUIRE_PEERS").is_some();
        assert!(!required, "must not be skipped here: the program age is not here");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| -> PathBuf { dir.path().join(name) };
    let option = |text: &'static str| Path::new(text);
    // Their key and ours.
    run("age-keygen", &[option("-o"), &file("theirs.key")]).unwrap();
    let (secret, recipient) = Identities::generate();
    fs::write(file("ours.key"), secret.expose()).unwrap();
    let theirs = Identities::parse(&fs::read_to_string(file("theirs.key")).unwrap()).unwrap();
    let ours = Identities::parse(secret.expose()).unwrap();
    let public = run("age-keygen", &[option("-y"), &file("theirs.key")]).unwrap();
    let public = String::from_utf8(public).unwrap();
    let both = Recipients::parse([public.trim(), &*recipient]).unwrap();
    for length in [0, 1, 65_536, 200_000] {
        let work = dense(length);
        fs::write(file("sealed"), seal_all(&both, &work)).unwrap();
        for key in ["theirs.key", "ours.key"] {
            let opened = run("age", &[option("-d"), option("-i"), &file(key), &file("sealed")]);
            assert_eq!(opened.unwrap(), work);
        }
        fs::write(file("work"), &work).unwrap();
        fs::write(file("both"), format!("{public}{recipient}\n")).unwrap();
        let sealed = run("age", &[option("-R"), &file("both"), &file("work")]).unwrap();
        assert_eq!(open_all(&theirs, &sealed).unwrap().unwrap(), work);
        assert_eq!(open_all(&ours, &sealed).unwrap().unwrap(), work);
    }
}

/// No panic, and as many bytes as the work has or an error. (Lepton has no checksum: that they are others is told by
/// the digest that every store reads by.)
fn check_damage(packing: Packing, stored: &[u8], work: &[u8]) {
    match unpack_all(packing, stored, work.len()) {
        Ok(bytes) => assert_eq!(bytes.len(), work.len()),
        Err(error) => assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn only_what_display_writes_is_read(text in "(plain|lepton|zstd|age| |\\PC){0,4}") {
        if let Ok(encoding) = text.parse::<Encoding>() {
            prop_assert_eq!(encoding.to_string(), text);
        }
    }

    #[test]
    fn whatever_is_packed_comes_back(work in vec(any::<u8>(), 0..2000), repeated in 1_usize..50) {
        let work = work.repeat(repeated);
        if let Some(packed) = pack(&work) {
            prop_assert_eq!(unpack_all(packed.packing, &packed.bytes, work.len()).unwrap(), &work[..]);
        }
        let mut out = Vec::new();
        if pack_stream(&mut &work[..], &mut out).unwrap().is_some() {
            prop_assert_eq!(unpack_all(Packing::Zstd, &out, work.len()).unwrap(), work);
        }
    }

    #[test]
    fn arbitrary_bytes_are_refused(stored in vec(any::<u8>(), 0..500), length in 0_usize..5000) {
        for packing in [Packing::Lepton, Packing::Zstd] {
            // The magic numbers, so that the decoders go on.
            for magic in [&b""[..], &[0x28, 0xb5, 0x2f, 0xfd], &[0xcf, 0x84, 1, b'Z', 1, 0, 0, 0]] {
                check_damage(packing, &[magic, &stored].concat(), &vec![0; length]);
            }
        }
        let (identities, _) = key();
        for magic in ["", "age-encryption.org/v1\n", "age-encryption.org/v1\n-> X25519 "] {
            prop_assert!(open_all(&identities, &[magic.as_bytes(), &stored].concat()).is_err());
        }
    }

    #[test]
    fn damaged_stored_bytes_never_panic(
        cut in any::<prop::sample::Index>(),
        flips in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        near_the_start in any::<bool>(),
    ) {
        for work in [jpeg(160, 120), text(20_000)] {
            let Packed { packing, bytes } = pack(&work).unwrap();
            check_damage(packing, &bytes[..cut.index(bytes.len())], &work);
            let mut flipped = bytes.clone();
            let reach = if near_the_start { 200.min(bytes.len()) } else { bytes.len() };
            flips.iter().for_each(|(at, mask)| flipped[at.index(reach)] ^= mask);
            check_damage(packing, &flipped, &work);
        }
    }

    #[test]
    fn damaged_jpegs_are_packed_or_left(
        cut in any::<prop::sample::Index>(),
        flips in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut work = jpeg(160, 120);
        flips.iter().for_each(|(at, mask)| { let at = at.index(work.len()); work[at] ^= mask; });
        for work in [&work[..cut.index(work.len())], &work] {
            if let Some(packed) = pack(work) {
                prop_assert_eq!(&unpack_all(packed.packing, &packed.bytes, work.len()).unwrap()[..], work);
            }
        }
    }
}
