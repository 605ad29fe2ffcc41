//! What travels between nodes. Owns the generated protobuf types ([`schema`]), the domain messages that the rest of the
//! tree works with ([`message`]), the one place where the first become the second ([`convert`]), and the frames that
//! carry them over a byte stream ([`frame`]).
//!
//! Pure: no sockets, clock or randomness. Promises that no input, whatever its bytes, makes it panic or allocate more
//! than the stated bounds. Does not promise that a message makes sense in the state its receiver is in: that is the
//! machines' to judge.

pub mod convert;
pub mod frame;
pub mod message;
pub mod schema;
