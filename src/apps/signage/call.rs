//! What the admin API asks of signage.

/// A request to the fleet's home; answered by `Effect::Reply` with a JSON body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The fleet it is about (`tenantId`, else `default`).
    pub fleet: String,
    pub ask: Ask,
}

/// What is asked, and how it is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// 200 `{"devices":[…]}`, as the event `devices:list`.
    Devices,
    /// One of them: 200 as an entry of `devices:list`, or 404.
    Device { device_id: String },
    /// Issues a fresh token for a device, known or not, and authorises it. 200 `{"deviceId","token"}`: the only time it is shown.
    Issue { device_id: String },
    /// Accepts the token a pending device has presented. 200, 404 `DEVICE_NOT_FOUND`, 409 where nothing is pending.
    Authorize { device_id: String },
    /// Ends the token and the sockets of a device. 200 or 404.
    Revoke { device_id: String },
    /// 200 `{"failures":[{at,ip,deviceId,reason}]}`, newest first.
    Failures { limit: u32 },
}
