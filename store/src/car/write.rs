//! Writing an archive: files stream in, their blocks stream out.

use std::collections::HashSet;
use std::io::{ErrorKind, Read, Write};

use super::CarError;
use super::section::{encode_header, encode_length};
use crate::dag::{CHUNK_BYTES, DagBuilder, DagCid};

/// An archive that is being written. Of a file it holds one chunk and the links that wait, of a block that was
/// written its CID, so that one that several files share is written once.
pub struct CarWriter<Out> {
    out: Out,
    roots: Vec<DagCid>,
    written: HashSet<DagCid>,
}

impl<Out: Write> CarWriter<Out> {
    /// Begins an archive of these roots, which are the addresses of files to be added.
    pub fn new(mut out: Out, roots: &[DagCid]) -> Result<CarWriter<Out>, CarError> {
        let header = encode_header(roots);
        out.write_all(&encode_length(header.len() as u64)).map_err(CarError::Write)?;
        out.write_all(&header).map_err(CarError::Write)?;
        Ok(CarWriter { out, roots: roots.to_vec(), written: HashSet::new() })
    }

    /// Adds a file, and says its address. If that fails, the archive is to be thrown away.
    pub fn add(&mut self, bytes: &mut dyn Read) -> Result<DagCid, CarError> {
        let (out, written) = (&mut self.out, &mut self.written);
        let mut builder = DagBuilder::new(|cid: DagCid, block: &[u8]| {
            if !written.insert(cid) {
                return Ok(());
            }
            let section_bytes = DagCid::BYTES + block.len();
            out.write_all(&encode_length(section_bytes as u64))?;
            out.write_all(&cid.to_bytes())?;
            out.write_all(block)
        });
        let mut buffer = vec![0; CHUNK_BYTES];
        loop {
            match bytes.read(&mut buffer) {
                Ok(0) => return builder.finish().map_err(CarError::Write),
                Ok(read) => builder.update(&buffer[..read]).map_err(CarError::Write)?,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(CarError::Source(error)),
            }
        }
    }

    /// Ends the archive, whose roots must all be there, and gives back where it went, flushed as far as
    /// [`Write::flush`] goes.
    pub fn finish(mut self) -> Result<Out, CarError> {
        if let Some(&cid) = self.roots.iter().find(|root| !self.written.contains(root)) {
            return Err(CarError::RootNotWritten { cid });
        }
        self.out.flush().map_err(CarError::Write)?;
        Ok(self.out)
    }
}
