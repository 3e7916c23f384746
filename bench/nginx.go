package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"
)

// nginxConfig forwards what Tollgate forwards, at the least cost that nginx
// offers for it: no access log, events passed on as they come, request bodies in
// memory, connections to the provider kept.
const nginxConfig = `%[1]sdaemon off;
worker_processes 1;
worker_rlimit_nofile 16384;
pid %[2]s/nginx.pid;
error_log stderr error;
events { worker_connections 16384; }
http {
	access_log off;
	client_body_temp_path %[2]s/body;
	proxy_temp_path       %[2]s/proxy;
	fastcgi_temp_path     %[2]s/fastcgi;
	uwsgi_temp_path       %[2]s/uwsgi;
	scgi_temp_path        %[2]s/scgi;
	client_max_body_size    32m;
	client_body_buffer_size 2m;
	keepalive_requests 100000000;
	keepalive_timeout  300s;
	upstream provider {
		server %[4]s;
		keepalive 4096;
		keepalive_requests 100000000;
		keepalive_timeout  55s;
	}
	server {
		listen %[3]s backlog=4096;
		location /v1/ {
			proxy_pass http://provider/starmagic/v1/;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_buffering off;
			proxy_read_timeout 120s;
		}
	}
}
`

// startNginx starts an nginx in front of the provider. It cannot take a port of
// the system's choice, so it gets one that was free a moment ago, and another
// one when somebody was faster.
func (r *rig) startNginx(ctx context.Context, provider string) (*gateway, error) {
	var errs []error
	for range 3 {
		g, err := r.tryNginx(ctx, provider)
		if err == nil || ctx.Err() != nil {
			return g, err
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

func (r *rig) tryNginx(ctx context.Context, provider string) (_ *gateway, err error) {
	addr, err := freeAddress()
	if err != nil {
		return nil, err
	}
	folder, err := r.folder("nginx")
	if err != nil {
		return nil, err
	}
	user := "" // as root, the worker would become somebody who may not enter the folder
	if os.Geteuid() == 0 {
		user = "user root;\n"
	}
	config := filepath.Join(folder, "nginx.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, nginxConfig, user, folder, addr, provider), 0o600); err != nil {
		return nil, err
	}
	p, err := r.launch(r.cores.gateway, folder, "nginx", r.nginx, "-p", folder, "-c", config, "-e", "stderr")
	if err != nil {
		return nil, err
	}
	g := &gateway{name: "nginx", process: p, addr: addr, path: "/v1/chat/completions"}
	if err := g.ready(ctx); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	if g.pids, err = family(p.command.Process.Pid); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	if len(g.pids) != 2 {
		return nil, errors.Join(fmt.Errorf("nginx has %d processes, not a master and a worker", len(g.pids)), p.stop())
	}
	return g, nil
}

// ready waits until the gateway takes connections.
func (g *gateway) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	dialer := net.Dialer{Timeout: time.Second}
	for {
		conn, err := dialer.DialContext(ctx, "tcp", g.addr)
		if err == nil {
			return conn.Close()
		}
		if err := g.process.rest(ctx); err != nil {
			return err
		}
	}
}

func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}
