//! The peers with the allocator of the system.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    peers::run()
}
