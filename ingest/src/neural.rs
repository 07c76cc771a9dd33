//! The tier that is optional: registered pictures that an operator's model sees as like a suspect. It only proposes
//! works; they are judged as all others are.

use rayon::prelude::*;
use timemark_neural::{EmbedError, Embedding, Model, Near, Table, TableError};
use timemark_store::Record;
use timemark_vision::Picture;

use crate::Engine;
use crate::derive::{DeriveError, claims, record};
use crate::detect::work_picture;

/// A model, and what it saw in the works of the log.
pub struct Neural {
    model: Model,
    table: Table,
}

/// Why a model could not take in the works of the log.
#[derive(Debug, thiserror::Error)]
pub enum NeuralError {
    /// The log or the store failed.
    #[error(transparent)]
    Derive(#[from] DeriveError),
    /// The table failed.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The model failed at a work.
    #[error("entry {index} of the log: {reason}")]
    Model {
        /// Its number.
        index: u64,
        /// Why.
        reason: EmbedError,
    },
}

impl Neural {
    /// A model and the table of its embeddings.
    pub fn new(model: Model, table: Table) -> Neural {
        Neural { model, table }
    }

    /// Has the model look at every work that came into the log since it last did. `progress` is told how many
    /// entries are in. What was taken in stays, should it break off.
    pub fn catch_up(&self, engine: &Engine, progress: &dyn Fn(u64)) -> Result<(), NeuralError> {
        loop {
            let from = self.table.len();
            let entries = engine.log.entries_from(from).map_err(DeriveError::from)?;
            if entries.is_empty() {
                return Ok(());
            }
            let to = from + entries.len() as u64;
            let records = entries.into_iter().filter_map(|entry| record(entry).transpose());
            let records = records.collect::<Result<Vec<Record>, _>>()?;
            let works = records.par_iter().filter(|record| claims(record));
            let seen = works.map(|record| Ok((record.index, self.work(record, engine)?)));
            let seen = seen.collect::<Result<Vec<_>, NeuralError>>()?;
            self.table.advance(&seen, to)?;
            self.table.flush()?;
            progress(to);
        }
    }

    /// What the model sees in a work; nothing where there is no picture of it to be had.
    fn work(&self, record: &Record, engine: &Engine) -> Result<Option<Embedding>, NeuralError> {
        match work_picture(&record.leaf.content, engine) {
            Ok(Some(picture)) => self
                .embedding(&picture)
                .map_err(|reason| NeuralError::Model { index: record.index, reason }),
            // `log audit` reports what is lost.
            Ok(None) => Ok(None),
            Err(error) if error.is_lost() => Ok(None),
            Err(error) => Err(DeriveError::from(error).into()),
        }
    }

    /// The works most like a picture to the model, best first; none where it sees nothing in it.
    pub(crate) fn candidates(
        &self,
        picture: &Picture,
        most: usize,
    ) -> Result<Vec<Near>, EmbedError> {
        let embedding = self.embedding(picture)?;
        Ok(embedding.map_or_else(Vec::new, |embedding| self.table.nearest(&embedding, most)))
    }

    fn embedding(&self, picture: &Picture) -> Result<Option<Embedding>, EmbedError> {
        match self.model.embed(&picture.rgb, picture.width, picture.height) {
            Ok(embedding) => Ok(Some(embedding)),
            Err(EmbedError::NoDirection) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
