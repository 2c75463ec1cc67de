//! The notes: in memory, by user, bounded.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use identity_guard::{Caller, SharedClock, caller};
use tonic::{Request, Response, Status};

use crate::contract::{
    CreateNoteRequest, CreateNoteResponse, ListNotesRequest, ListNotesResponse,
    ListUserNotesRequest, ListUserNotesResponse, Note, notes_service_server::NotesService,
};

/// How long a text may be, in characters.
const MAX_TEXT: usize = 2_000;

/// How many notes a user may keep.
const MAX_NOTES_OF_USER: usize = 100;

/// How many users may keep notes.
const MAX_USERS: usize = 1_000;

/// The notes of all users.
pub(crate) struct Notes {
    clock: SharedClock,
    all: Mutex<All>,
}

#[derive(Default)]
struct All {
    last_number: u64,
    by_user: HashMap<String, Vec<Note>>,
}

impl Notes {
    /// No notes yet.
    pub(crate) fn new(clock: SharedClock) -> Self {
        Self {
            clock,
            all: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, All> {
        // A panic elsewhere leaves the notes whole: each change is one push.
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(&self, user_id: &str) -> Vec<Note> {
        self.lock()
            .by_user
            .get(user_id)
            .cloned()
            .unwrap_or_default()
    }

    fn add(&self, user_id: &str, text: String) -> Result<Note, Status> {
        let mut all = self.lock();
        let room = match all.by_user.get(user_id) {
            Some(notes) => notes.len() < MAX_NOTES_OF_USER,
            None => all.by_user.len() < MAX_USERS,
        };
        if !room {
            return Err(Status::resource_exhausted("no room for another note"));
        }
        all.last_number += 1;
        let note = Note {
            number: all.last_number,
            text,
            create_time: Some(self.clock.now().into()),
        };
        let notes = all.by_user.entry(user_id.to_owned()).or_default();
        notes.push(note.clone());
        Ok(note)
    }
}

#[tonic::async_trait]
impl NotesService for Notes {
    async fn list_notes(
        &self,
        request: Request<ListNotesRequest>,
    ) -> Result<Response<ListNotesResponse>, Status> {
        let notes = self.of(user_id(&request)?);
        Ok(Response::new(ListNotesResponse { notes }))
    }

    async fn create_note(
        &self,
        request: Request<CreateNoteRequest>,
    ) -> Result<Response<CreateNoteResponse>, Status> {
        let user_id = user_id(&request)?.to_owned();
        let text = request.into_inner().text;
        if text.is_empty() || text.chars().count() > MAX_TEXT {
            return Err(Status::invalid_argument(format!(
                "text: 1 to {MAX_TEXT} characters"
            )));
        }
        let note = Some(self.add(&user_id, text)?);
        Ok(Response::new(CreateNoteResponse { note }))
    }

    async fn list_user_notes(
        &self,
        request: Request<ListUserNotesRequest>,
    ) -> Result<Response<ListUserNotesResponse>, Status> {
        let notes = self.of(&request.get_ref().user_id);
        Ok(Response::new(ListUserNotesResponse { notes }))
    }
}

/// The user who calls. The rules let nobody else through; without a guard in front nobody is anybody.
fn user_id<T>(request: &Request<T>) -> Result<&str, Status> {
    match caller(request) {
        Caller::User(user) => Ok(&user.user_id),
        Caller::Anonymous | Caller::Service(_) => Err(Status::internal("no guard in front")),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use identity_guard::{ManualClock, Timestamp};
    use tonic::Code;

    use super::*;

    fn notes() -> Notes {
        Notes::new(Arc::new(ManualClock::new(Timestamp::from_micros(7))))
    }

    #[test]
    fn each_user_has_room_for_so_many_notes() {
        let notes = notes();
        for number in 1..=MAX_NOTES_OF_USER {
            notes.add("u1", number.to_string()).expect("room");
        }
        let full = notes.add("u1", "more".to_owned()).expect_err("full");
        assert_eq!(full.code(), Code::ResourceExhausted);
        notes.add("u2", "other".to_owned()).expect("room");
        assert_eq!(notes.of("u1").len(), MAX_NOTES_OF_USER);
        assert_eq!(notes.of("u2").len(), 1);
    }

    #[test]
    fn there_is_room_for_so_many_users() {
        let notes = notes();
        for number in 0..MAX_USERS {
            notes
                .add(&number.to_string(), "note".to_owned())
                .expect("room");
        }
        let full = notes.add("late", "note".to_owned()).expect_err("full");
        assert_eq!(full.code(), Code::ResourceExhausted);
        notes.add("0", "known".to_owned()).expect("room");
    }

    #[tokio::test]
    async fn without_a_guard_nobody_is_anybody() {
        let listed = notes().list_notes(Request::new(ListNotesRequest {})).await;
        assert_eq!(listed.expect_err("refused").code(), Code::Internal);
    }
}
