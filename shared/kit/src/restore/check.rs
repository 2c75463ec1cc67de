//! The database compared with the marker.

use sea_orm::{ConnectionTrait, Statement};

use super::{Files, Marker, RestoreError, State, files};
use crate::database::{Database, StoreError};

/// How a database stands to a marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has the change at the marker.
    Same,
    /// It is of the marker's epoch, and has trimmed that change: there is nothing to compare any more.
    Trimmed,
    /// A restore has ended the marker's epoch, of which it holds everything up to a revision.
    Ended(u64),
    /// It is of the marker's epoch, and has another change there or none.
    PutBack,
    /// It knows nothing of the marker's epoch.
    Foreign,
}

/// Compares a database with a marker that was read before: what is committed meanwhile is no difference.
///
/// # Errors
///
/// The database does not answer.
pub async fn compare(
    connection: &impl ConnectionTrait,
    marker: &Marker,
) -> Result<Standing, StoreError> {
    let (position, nonce) = (&marker.cursor.position, &marker.cursor.nonce);
    let revision = i64::try_from(position.revision).unwrap_or(i64::MAX);
    let row = connection
        .query_one_raw(Statement::from_sql_and_values(
            connection.get_database_backend(),
            "SELECT h.epoch, h.revision, h.floor, e.nonce, p.revision AS ended
             FROM feed_head h
             LEFT JOIN feed_event e ON e.revision = $2
             LEFT JOIN feed_past p ON p.epoch = $1 AND p.ended_at IS NOT NULL
             WHERE h.id = 1",
            [position.epoch.as_str().into(), revision.into()],
        ))
        .await?
        .ok_or_else(|| StoreError::Corrupt("the feed has no head".to_owned()))?;
    let epoch: String = row.try_get("", "epoch")?;
    if epoch != position.epoch {
        let ended: Option<i64> = row.try_get("", "ended")?;
        return Ok(ended.map_or(Standing::Foreign, |revision| {
            Standing::Ended(revision.unsigned_abs())
        }));
    }
    let (head, floor): (i64, i64) = (row.try_get("", "revision")?, row.try_get("", "floor")?);
    let found: Option<String> = row.try_get("", "nonce")?;
    Ok(if revision > head {
        Standing::PutBack
    } else if revision == 0 || (found.is_some() && found == *nonce) {
        Standing::Same
    } else if found.is_none() && revision < floor {
        Standing::Trimmed
    } else {
        Standing::PutBack
    })
}

/// Whether `after-restore` was begun on a database and has not ended.
pub(super) async fn is_begun(connection: &impl ConnectionTrait) -> Result<bool, StoreError> {
    let row = connection
        .query_one_raw(Statement::from_string(
            connection.get_database_backend(),
            "SELECT epoch FROM feed_past WHERE ended_at IS NULL LIMIT 1",
        ))
        .await?;
    Ok(row.is_some())
}

/// Lets a database be served that has what the marker says, or refuses.
///
/// # Errors
///
/// It was put back, or is another one; a restore was begun; or the files cannot be used.
pub async fn admit(database: &Database, state: &State) -> Result<(), RestoreError> {
    let marker = state.marker()?;
    let connection = database.aside();
    if is_begun(connection).await? {
        return Err(RestoreError::Begun {
            service: state.service,
        });
    }
    let Some(files) = &state.files else {
        tracing::info!(
            "without --state-dir nobody notices at the start that the database was put back to an earlier copy"
        );
        return Ok(());
    };
    // Whether anything can be written there is known now and not after the first change.
    files::append_to(&files.lock)?;
    let Some(marker) = marker else {
        return Ok(());
    };
    state.require(compare(connection, &marker).await?, files, &marker)?;
    files.require_journal(marker.journal_bytes)
}

impl State {
    /// Refuses a database that has not what the marker says.
    pub(super) fn require(
        &self,
        standing: Standing,
        files: &Files,
        marker: &Marker,
    ) -> Result<(), RestoreError> {
        let (service, file) = (self.service, files.marker.clone());
        match standing {
            Standing::Same | Standing::Trimmed | Standing::Ended(_) => Ok(()),
            Standing::PutBack => Err(RestoreError::PutBack {
                service,
                marker: file,
                revision: marker.cursor.position.revision,
            }),
            Standing::Foreign => Err(RestoreError::Foreign {
                service,
                marker: file,
            }),
        }
    }

    /// Whether a database needs `after-restore`, as far as can be known: one that agrees with its marker does not.
    ///
    /// # Errors
    ///
    /// The marker cannot be used, or the database does not answer.
    pub async fn is_restored(&self, database: &Database) -> Result<bool, RestoreError> {
        let marker = self.marker()?;
        if is_begun(database.aside()).await? {
            return Ok(true);
        }
        let Some(marker) = marker else {
            return Ok(true);
        };
        Ok(match compare(database.aside(), &marker).await? {
            Standing::Same | Standing::Trimmed | Standing::Ended(_) => false,
            Standing::PutBack | Standing::Foreign => true,
        })
    }
}
