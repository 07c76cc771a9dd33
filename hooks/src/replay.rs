//! What is sent again, and what is sent to see whether it arrives.

use serde_json::json;

use crate::clock::now;
use crate::delivery::{Delivery, State};
use crate::error::HookError;
use crate::event::{Event, EventKind};
use crate::hooks::{Hooks, random_id};
use crate::run::{PENDING_MAX, put_in_line};

impl Hooks {
    /// Sends an endpoint something of no meaning.
    pub fn test(&self, id: &str) -> Result<Delivery, HookError> {
        let data = json!({"webhook": id, "message": "this is a test"});
        let event = Event { id: random_id("evt_")?, kind: EventKind::Test, data };
        let now = now();
        let delivery = self.store.write(|tables| {
            let mut endpoint = tables.endpoint(id)?;
            if tables.pending(id)?.len() >= PENDING_MAX {
                return Err(HookError::Busy(PENDING_MAX).into());
            }
            let delivery = put_in_line(tables, &mut endpoint, &event, now)?;
            tables.put_endpoint(&endpoint)?;
            Ok(delivery)
        })?;
        self.wake();
        Ok(delivery)
    }

    /// Sends a delivery once more, whatever came of it.
    pub fn replay(&self, id: &str, delivery: u64) -> Result<Delivery, HookError> {
        let now = now();
        let delivery = self.store.write(|tables| {
            tables.endpoint(id)?;
            let mut delivery = tables.delivery(id, delivery)?.ok_or(HookError::NoDelivery)?;
            let before = delivery.state;
            delivery.again(now);
            tables.put_delivery(id, Some(before), &delivery)?;
            Ok(delivery)
        })?;
        self.wake();
        Ok(delivery)
    }

    /// Sends everything once more that was noticed from this time on and is still kept, or what of it has not arrived.
    /// Returns how many deliveries that are.
    pub fn replay_since(
        &self,
        id: &str,
        since: u64,
        undelivered: bool,
    ) -> Result<usize, HookError> {
        let now = now();
        let replayed = self.store.write(|tables| {
            tables.endpoint(id)?;
            let mut replayed = 0;
            for number in tables.created_since(id, since)? {
                let Some(mut delivery) = tables.delivery(id, number)? else { continue };
                if undelivered && delivery.state == State::Delivered {
                    continue;
                }
                let before = delivery.state;
                delivery.again(now);
                tables.put_delivery(id, Some(before), &delivery)?;
                replayed += 1;
            }
            Ok(replayed)
        })?;
        self.wake();
        Ok(replayed)
    }
}
