//! Events of the audit log on the wire.

use identity_kit::audit::{ActorKind, AuditEvent, Change, Outcome, Sealed};
use identity_proto::user::v1 as wire;

use super::super::context::Context;

pub(super) fn event(context: &Context, event: AuditEvent) -> wire::AuditEvent {
    let (personal, erased) = match event.sealed {
        Sealed::Nothing => (Vec::new(), false),
        Sealed::Open(changes) => (changes, false),
        Sealed::Erased => (Vec::new(), true),
    };
    let plain = event.changes.into_iter().map(|plain| change(plain, false));
    let personal = personal.into_iter().map(|personal| change(personal, true));
    wire::AuditEvent {
        // A row a microsecond would take longer than the time that the wire can say.
        sequence: i64::try_from(event.sequence).unwrap_or(i64::MAX),
        create_time: Some(event.created_at.into()),
        actor: Some(wire::AuditActor {
            kind: kind(event.act.actor.kind).into(),
            id: event.act.actor.id,
            session_id: event.act.actor.session_id,
        }),
        action: event.act.action.into_owned(),
        outcome: outcome(event.outcome).into(),
        subject: Some(wire::AuditSubject {
            r#type: event.act.subject.kind.into_owned(),
            id: event.act.subject.id,
        }),
        request_id: event.act.request_id,
        revision: context.revision(&event.position),
        changes: plain.chain(personal).collect(),
        facts: event
            .facts
            .into_iter()
            .map(|(name, value)| wire::AuditFact { name, value })
            .collect(),
        erased,
        chain_link: event.hash,
    }
}

fn change(change: Change, personal: bool) -> wire::AuditChange {
    wire::AuditChange {
        field: change.field,
        before: change.before,
        after: change.after,
        personal,
    }
}

const fn kind(kind: ActorKind) -> wire::AuditActorKind {
    match kind {
        ActorKind::User => wire::AuditActorKind::User,
        ActorKind::Service => wire::AuditActorKind::Service,
        ActorKind::Operator => wire::AuditActorKind::Operator,
        ActorKind::System => wire::AuditActorKind::System,
        ActorKind::Anonymous => wire::AuditActorKind::Anonymous,
    }
}

const fn outcome(outcome: Outcome) -> wire::AuditOutcome {
    match outcome {
        Outcome::Done => wire::AuditOutcome::Done,
        Outcome::Refused => wire::AuditOutcome::Refused,
    }
}
