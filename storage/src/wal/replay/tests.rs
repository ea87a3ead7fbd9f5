use proptest::prelude::*;

use super::*;
use crate::{
    error::ErrorKind,
    model::Table,
    testing::{self, batch},
    wal::frame::Payload,
};

const NONCE: u64 = 0x1234_5678_9abc_def0;

/// A file with one frame for each length of text, sequences from 1; and where each frame lies.
fn file(texts: &[usize]) -> (Vec<u8>, Vec<std::ops::Range<usize>>) {
    let name = FileName { number: 1, first_sequence: 1, nonce: NONCE };
    let mut bytes = name.header().to_vec();
    let mut places = Vec::new();
    for (length, sequence) in texts.iter().zip(1..) {
        let text: String =
            (0..*length).map(|i| char::from(b'a' + u8::try_from((i * 7 + length) % 26).unwrap())).collect();
        let start = bytes.len();
        Payload::encode(&batch(Table::Logs, Some(u128::from(sequence)), &[(5, &text)]))
            .unwrap()
            .write(sequence, 77, NONCE, &mut bytes);
        places.push(start..bytes.len());
    }
    (bytes, places)
}

fn sequences(scan: &Scan<'_>) -> Vec<u64> {
    scan.frames.iter().map(|found| found.header.sequence).collect()
}

#[test]
fn every_table_comes_back_as_it_was() {
    for table in Table::ALL {
        let rows = testing::rows(table, &[(1, "one"), (2, "two"), (i64::MAX, "")]);
        let batch = crate::model::Batch {
            tenant: crate::model::Tenant::new("team-7"),
            key: None,
            tables: vec![crate::model::TableRows { table, rows: rows.clone() }],
        };
        let mut bytes = Vec::new();
        Payload::encode(&batch).unwrap().write(9, -1, NONCE, &mut bytes);
        let (header, body) = frame::read(&bytes, NONCE).unwrap();
        assert_eq!((header.sequence, header.appended_unix_nano, header.key), (9, -1, None));
        let read = header.decode(body).unwrap();
        assert_eq!(read.tenant, batch.tenant);
        assert_eq!(read.tables[0].rows, rows);
    }
}

#[test]
fn several_tables_share_a_frame() {
    let mut all = batch(Table::Metrics, Some(3), &[(1, "a")]);
    all.tables.extend(batch(Table::Histograms, None, &[(2, "b"), (3, "c")]).tables);
    let mut bytes = Vec::new();
    Payload::encode(&all).unwrap().write(1, 0, NONCE, &mut bytes);
    let (header, body) = frame::read(&bytes, NONCE).unwrap();
    let read = header.decode(body).unwrap();
    assert_eq!(read.key, all.key);
    assert_eq!(read.tables.len(), 2);
    for (read, written) in read.tables.iter().zip(&all.tables) {
        assert_eq!((read.table, &read.rows), (written.table, &written.rows));
    }
}

#[test]
fn a_batch_in_another_schema_is_refused() {
    let mut wrong = batch(Table::Logs, None, &[(1, "a")]);
    wrong.tables[0].table = Table::Spans;
    assert_eq!(Payload::encode(&wrong).unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn bytes_that_a_client_chose_are_never_a_frame() {
    // A log record whose text is a whole frame, made by somebody who knows the format but not the nonce.
    let mut forged = Vec::new();
    Payload::encode(&batch(Table::Logs, None, &[(5, "forged")])).unwrap().write(2, 0, NONCE + 1, &mut forged);
    let (mut bytes, places) = file(&[4]);
    bytes.splice(places[0].start + 1..places[0].start + 1, forged);
    let scan = scan(&bytes, NONCE);
    assert!(scan.frames.is_empty());
}

#[test]
fn frames_of_a_failed_group_are_void_once_their_sequences_are_used_again() {
    let name = |number, first_sequence| FileName { number, first_sequence, nonce: 0 };
    assert_eq!(void_from(&[name(1, 1), name(2, 5), name(3, 5), name(4, 9)]), [Some(5), Some(5), Some(9), None]);
    // A later restart at an earlier sequence makes everything after it void, in all files before.
    assert_eq!(void_from(&[name(1, 1), name(2, 8), name(3, 5)]), [Some(5), Some(5), None]);
    let mut order = Order::above(2);
    assert!(!order.admit(2, None));
    assert!(order.admit(4, Some(5)));
    assert!(!order.admit(5, Some(5)));
    assert!(order.admit(5, None));
    assert!(!order.admit(5, None), "seen");
    assert!(order.admit(9, None));
    assert!(order.admit(7, None));
    assert_eq!(order.last(), 9);
    assert_eq!(order.missing(11), [3..=3, 6..=6, 8..=8, 10..=11]);
    assert_eq!(Order::above(7).missing(7), []);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_torn_tail_ends_the_file_at_the_last_whole_frame(
        texts in prop::collection::vec(0_usize..600, 0..6),
        cut in any::<prop::sample::Index>(),
        garbage in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let (mut bytes, places) = file(&texts);
        let cut = cut.index(bytes.len() + 1);
        bytes.truncate(cut);
        let whole = places.iter().filter(|place| place.end <= cut).count();
        // Bytes that were never a frame may follow where blocks were written out of order.
        let valid = places.iter().map(|place| place.end).take_while(|end| *end <= cut).last();
        if valid != Some(cut) {
            bytes.extend(garbage);
        }
        let scan = scan(&bytes, NONCE);
        prop_assert_eq!(sequences(&scan), (1..=whole as u64).collect::<Vec<_>>());
        prop_assert_eq!(scan.damaged_bytes, 0);
        if let Some(valid) = valid {
            prop_assert_eq!(scan.valid_bytes, valid);
        }
    }

    #[test]
    fn damage_costs_the_frames_it_touches_and_is_reported(
        texts in prop::collection::vec(0_usize..600, 2..7),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..8), 1..4),
    ) {
        let (whole, places) = file(&texts);
        let mut bytes = whole.clone();
        for (at, bit) in &flips {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        let is_intact = |place: &std::ops::Range<usize>| bytes[place.clone()] == whole[place.clone()];
        let intact: Vec<u64> = places.iter().zip(1..).filter(|(place, _)| is_intact(place)).map(|(_, s)| s).collect();
        let scan = scan(&bytes, NONCE);
        prop_assert_eq!(&sequences(&scan), &intact);
        let last_intact = intact.last().copied().unwrap_or(0);
        if intact.len() as u64 != last_intact {
            prop_assert!(scan.damaged_bytes > 0, "frames are missing before a whole one");
        }
        for found in &scan.frames {
            found.header.decode(found.body).unwrap();
        }
    }

    #[test]
    fn any_bytes_are_scanned_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..500), nonce in any::<u64>()) {
        prop_assert!(scan(&bytes, nonce).frames.is_empty());
    }
}
