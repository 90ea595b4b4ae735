//! Places for those who connect, by address: one stranger does not keep the others out.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

/// A number of places, of which each address may have some. IPv6 hosts have a whole /64.
pub(crate) struct Places {
    all: usize,
    per_address: usize,
    taken: Mutex<HashMap<IpAddr, usize>>,
}

/// One that is taken, until it is dropped.
pub(crate) struct Place {
    places: Arc<Places>,
    from: IpAddr,
}

impl Places {
    pub(crate) fn new(all: usize, per_address: usize) -> Arc<Self> {
        Arc::new(Self {
            all,
            per_address,
            taken: Mutex::default(),
        })
    }

    /// A place, if there is one for this address; `None`: whoever it was is gone.
    pub(crate) fn enter(self: &Arc<Self>, from: Option<SocketAddr>) -> Option<Place> {
        let from = match from?.ip().to_canonical() {
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
            address => address,
        };
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.values().sum::<usize>() >= self.all {
            return None;
        }
        let count = taken.entry(from).or_default();
        if *count >= self.per_address {
            return None;
        }
        *count += 1;
        Some(Place {
            places: Arc::clone(self),
            from,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.from) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.from);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_stranger_does_not_take_every_place() {
        let places = Places::new(100, 10);
        let from = |text: &str| Some(SocketAddr::new(text.parse().expect("an address"), 9));
        let held: Vec<_> = (0..10)
            .map(|host| {
                places
                    .enter(from(&format!("2001:db8:0:1::{host:x}")))
                    .expect("a place")
            })
            .collect();
        assert!(
            places.enter(from("2001:db8:0:1:ffff::1")).is_none(),
            "the same network"
        );
        assert!(places.enter(None).is_none(), "gone already");
        let other = places
            .enter(from("2001:db8:0:2::1"))
            .expect("another network has places");
        drop((held, other));
        assert!(places.taken.lock().expect("not poisoned").is_empty());
        let mut all = Vec::new();
        for host in 0..100 {
            let address = std::net::Ipv4Addr::from_bits(0x0a00_0000 + host).to_string();
            all.push(places.enter(from(&address)).expect("a place"));
        }
        assert!(places.enter(from("192.0.2.1")).is_none(), "the bound over all");
        assert_eq!(all.len(), 100);
    }
}
